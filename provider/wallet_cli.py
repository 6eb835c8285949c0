"""`dpn wallet`. Whatever is heavy is imported by the command that needs it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from provider.terminal import Account, keystore_from, with_wallet
from runtime.config import AccountConfig
from runtime.terminal import (
    AsJson,
    Config,
    Keystore,
    PassphraseFile,
    UsageError,
    Yes,
    account_command,
    account_of,
    address_from,
    confirm,
    guarded,
    show,
    unlock,
    wei_from,
)

if TYPE_CHECKING:
    from provider.referrals import Referrals, Shared
    from wire.tiers import Tier

app = typer.Typer(help="Keys, balances, rewards and claims.", no_args_is_help=True)


@app.command()
def create(
    keystore: Annotated[Path, typer.Option("--keystore", help="The file to write.")],
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Make a new key in a new keystore file. An existing file is never touched."""
    from chain.keys import NodeKey

    def work() -> Mapping[str, Any]:
        return {"address": _write_keystore(NodeKey.create(), keystore, passphrase_file), "keystore": str(keystore)}

    show(guarded(work), as_json)


@app.command("import")
def import_(
    source: Annotated[Path, typer.Option("--from", help="A V3 keystore, or a file with a private key as 64 hexadecimal digits.")],
    keystore: Annotated[Path, typer.Option("--keystore", help="The file to write.")],
    source_passphrase_file: Annotated[
        Path | None, typer.Option("--from-passphrase-file", help="Pass phrase of the source, if it is a keystore.")
    ] = None,
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Bring a key from elsewhere into a new keystore file."""
    from chain.keys import NodeKey, decrypt
    from runtime.passphrase import read_passphrase

    def work() -> Mapping[str, Any]:
        content = source.read_bytes()
        if content.lstrip().startswith(b"{"):
            key = decrypt(content, read_passphrase(source_passphrase_file or passphrase_file))
        else:
            try:
                key = NodeKey(bytes.fromhex(content.decode("ascii").strip().removeprefix("0x")))
            except ValueError:
                raise UsageError(f"{source} is neither a keystore nor a key of 64 hexadecimal digits; nothing was written.") from None
        return {"address": _write_keystore(key, keystore, passphrase_file), "keystore": str(keystore)}

    show(guarded(work), as_json)


@app.command()
def export(
    to: Annotated[Path, typer.Option("--to", help="The keystore file to write, encrypted with the new pass phrase.")],
    config: Config = None,
    keystore: Keystore = None,
    passphrase_file: PassphraseFile = None,
    new_passphrase_file: Annotated[
        Path | None, typer.Option("--new-passphrase-file", help="Pass phrase of the copy (else that of the original).")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write a copy of the keystore that geth and other wallets open."""
    from chain.keys import load
    from runtime.passphrase import read_passphrase

    def work() -> Mapping[str, Any]:
        source, phrase_file = keystore_from(config, keystore, passphrase_file)
        key = load(source, read_passphrase(phrase_file))
        return {"address": _write_keystore(key, to, new_passphrase_file or phrase_file), "keystore": str(to)}

    show(guarded(work), as_json)


@app.command()
def address(config: Config = None, keystore: Keystore = None, as_json: AsJson = False) -> None:
    """The account of a keystore; nothing is decrypted."""
    from chain.keys import address_in

    found = guarded(lambda: address_in(keystore_from(config, keystore, None)[0]))
    if as_json:
        show({"address": found}, as_json)
    else:
        typer.echo(found)


@account_command(app, signs=False)
def balance(settings: AccountConfig, account: Account = None) -> Mapping[str, Any]:
    """Reward tokens of the account's recipient, and the coins that pay its fees."""
    found = with_wallet(settings, lambda w: w.balance(account_of(account, settings)))
    return {"account": found.account, "recipient": found.recipient, "tokens_wei": str(found.tokens), "coins_wei": str(found.coins)}


@account_command(app, signs=False)
def rewards(settings: AccountConfig, account: Account = None) -> Mapping[str, Any]:
    """What the account earned, proved against the active root on chain."""
    found = with_wallet(settings, lambda w: w.rewards(account_of(account, settings)))
    return {
        "account": found.leaf.account,
        "recipient": found.recipient,
        "epoch": found.epoch,
        "root": "0x" + found.root.hex(),
        "earned_wei": str(found.leaf.earned),
        "claimed_wei": str(found.claimed),
        "claimable_wei": str(found.claimable),
        "points": _points(found.leaf.points),
        "tier": found.tier.name or "none",
        "next_tier": _next_tier(found.following),
        "reputation_ppm": found.leaf.reputation,
    }


@account_command(app, signs=False)
def referrals(settings: AccountConfig, account: Account = None) -> Mapping[str, Any]:
    """Who referred the account, whom it referred, its tier, and what of the newest root's epochs came by that."""
    return referrals_shown(with_wallet(settings, lambda w: w.referrals(account_of(account, settings))))


@account_command(app)
def claim(
    settings: AccountConfig,
    account: Account = None,
    max_fee_percent: Annotated[
        float, typer.Option("--max-fee-percent", min=0, help="Refuse if the fee is a larger share of the reward.")
    ] = 10.0,
    token_price: Annotated[int, typer.Option("--token-price", min=0, help="Wei of the chain's coin that one whole token is worth.")] = 10
    ** 18,
    force: Annotated[bool, typer.Option("--force", help="Claim whatever the fee.")] = False,
    yes: Yes = False,
) -> Mapping[str, Any]:
    """Check the record against the chain, show reward and fee, ask, and claim to the account's recipient."""
    from chain.amounts import tokens
    from provider.errors import RootMoved

    payer = account_of(None, settings)

    def claim_once() -> Mapping[str, Any]:
        offer = with_wallet(settings, lambda w: w.offer_claim(account_of(account, settings), payer))
        reward, share = offer.rewards.claimable, offer.fee_share_ppm(token_price)
        sentence = (
            f"Reward {tokens(reward)} DPN to {offer.rewards.recipient} for epochs up to {offer.rewards.epoch}; "
            f"fee about {offer.fee} wei, {share / 10_000:.4f} % of it."
        )
        typer.echo(sentence, err=True)
        confirm("Send the claim?", yes)
        key, most = unlock(settings), round(max_fee_percent * 10_000)
        transaction = with_wallet(settings, lambda w: w.claim(offer, key, most, token_price, force=force))
        return {"account": offer.rewards.leaf.account, "amount_wei": str(reward), "fee_wei": str(offer.fee), "transaction": transaction}

    try:
        return claim_once()
    except RootMoved as moved:
        typer.echo(str(moved), err=True)
        return claim_once()


@account_command(app)
def send(
    settings: AccountConfig,
    to: Annotated[str, typer.Argument(help="The account that gets them.")],
    amount: Annotated[str, typer.Argument(help="Whole tokens, such as 12.5.")],
    yes: Yes = False,
) -> Mapping[str, Any]:
    """Send reward tokens of the keystore's account."""
    receiver, tokens_wei = address_from(to), wei_from(amount)
    confirm(f"Send {amount} DPN to {receiver}?", yes)
    key = unlock(settings)
    transaction = with_wallet(settings, lambda w: w.send(key, w.chain.token.transfer(receiver, tokens_wei)))
    return {"to": receiver, "amount_wei": str(tokens_wei), "transaction": transaction}


@account_command(app, "set-recipient")
def set_recipient(
    settings: AccountConfig,
    recipient: Annotated[str, typer.Argument(help="Where rewards are paid from now on.")],
    account: Account = None,
    yes: Yes = False,
) -> Mapping[str, Any]:
    """Change who is paid. Only the current recipient may, and afterwards only the new one."""
    paid, new = account_of(account, settings), address_from(recipient)
    confirm(f"From now on only {new} can change the recipient of {paid}. Go on?", yes)
    key = unlock(settings)
    transaction = with_wallet(settings, lambda w: w.set_recipient(key, paid, new))
    return {"account": paid, "recipient": new, "transaction": transaction}


def _write_keystore(key: Any, file: Path, phrase: Path | None) -> str:
    from chain.keys import KeyExists, encrypt, write_new
    from runtime.passphrase import read_passphrase

    if file.exists():
        raise KeyExists(file)
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_new(file, encrypt(key, read_passphrase(phrase, confirm=True)))
    return str(key.address)


def referrals_shown(found: Referrals) -> Mapping[str, Any]:
    """Amounts in wei, as text; `note` where one is called for."""
    from chain.types import ZERO_ADDRESS

    first, last = found.epochs
    shown: dict[str, Any] = {
        "account": found.account,
        "registered": found.registered,
        "referred_by": found.referrer if found.referrer != ZERO_ADDRESS else "nobody",
        "points": _points(found.points),
        "tier": found.tier.name or "none",
        "share_percent": f"{found.tier.share_ppm / 10_000:g}",
        "next_tier": _next_tier(found.following),
        "points_missing": _points(found.missing),
    }
    if not found.unknown:
        shown["epochs"] = f"{first} to {last}"
        shown |= _wei("came", found.came) | _wei("went_to_referrer", found.of(found.account))
    shown["referred"] = [
        {"provider": one, "registered": registered} | ({} if found.unknown else _wei("came", found.of(one)))
        for one, registered in found.referred.items()
    ]
    if found.unknown:
        shown["note"] = found.unknown
    elif found.referred and not found.registered:
        shown["note"] = "Nothing comes of referrals while the account is not registered itself: `dpn provider register`."
    return shown


def _wei(name: str, amounts: Shared) -> dict[str, str]:
    return {f"{name}_wei": str(amounts.newest), f"{name}_ever_wei": str(amounts.ever)}


def _points(milli: int) -> str:
    return f"{milli // 1000}.{milli % 1000:03d}"


def _next_tier(following: Tier | None) -> str:
    if following is None:
        return "none above"
    return f"{following.name}, {following.share_ppm / 10_000:g} % from {following.points} points on"
