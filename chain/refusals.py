"""What each custom error of the contracts means to a person: what happened, and what to do.

One sentence an error, with its arguments by name: `{x:tokens}` is wei as whole tokens, `{x:time}` seconds as UTC, `{x:role}` a role.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from string import Formatter
from typing import Any

from chain.amounts import tokens
from chain.events.log import ROLES

LATEST_TIME = 253_402_300_799
"""The last second of the year 9999: what a caller or a contract gives beyond that is shown as its number."""

SENTENCES: Mapping[str, str] = {
    # anywhere
    "Error": "{reason}",
    "Panic": "its code failed with panic {code}; this is a fault of the contract, report it",
    "ZeroAddress": "the zero address stands where an account is needed; give one",
    "ZeroAmount": "an amount is zero; give one above zero",
    "LengthMismatch": "{leaves} leaves came with {proofs} proofs; give each leaf its proof",
    "SafeERC20FailedOperation": "the token {token} did not carry out a transfer; look at balance and allowance",
    "SafeCastOverflowedUintDowncast": "{value} does not fit {bits} bits; give a smaller number",
    "InvalidShortString": "a name is too long for the contract; shorten it",
    "StringTooLong": "the text {str!r} is too long for the contract; shorten it",
    # the token
    "ERC20InsufficientBalance": "{sender} holds {balance:tokens} tokens and needs {needed:tokens}; send it the rest first",
    "ERC20InsufficientAllowance": "{spender} may take {allowance:tokens} tokens and needs {needed:tokens}; approve the amount first",
    "ERC20InvalidReceiver": "tokens cannot be sent to {receiver}; name another account",
    "ERC20InvalidSender": "tokens cannot be sent from {sender}; name another account",
    "ERC20InvalidApprover": "{approver} cannot approve; name another account",
    "ERC20InvalidSpender": "{spender} cannot be approved; name another account",
    "ERC2612ExpiredSignature": "the permit was good until {deadline:time}; sign a new one",
    "ERC2612InvalidSigner": "the permit is signed by {signer}, not by {owner}; sign it with the owner's key, for this token and nonce",
    "InvalidAccountNonce": "the next permit of {account} has the nonce {currentNonce}; sign it with that one",
    "ECDSAInvalidSignature": "the signature is of no key; sign again",
    "ECDSAInvalidSignatureLength": "the signature has {length} bytes instead of 65; sign again",
    "ECDSAInvalidSignatureS": "the signature's s is in the upper half of the order; negate it, or sign again",
    # deployment
    "GenesisInPast": "genesis at {genesis:time} is before the block at {timestamp:time}; deploy with a later one",
    "InvalidWindows": "the windows do not fit in an epoch; correct the parameters",
    "DelayTooShort": "stake or deposits could leave after {delay} s, before what they answer for is settled; make it at least {least} s",
    "NotWired": "the contract at {part} names another settlement contract or token; deploy all contracts together",
    "WrongToken": "the token's code hashes to {codeHash}, not to {expected}; name the token that was meant",
    "NoRules": "there are no rules; give their canonical JSON",
    "NoValidators": "no validator would be listed; list at least one",
    "RosterNotStored": "there was not enough gas to keep the list of stakes; send more",
    # lists
    "AlreadyListed": "{account} is listed twice; list each account once",
    "NotListed": "{account} is not listed; only what a bundle of the validators lists has a role",
    "ListFull": "there are {limit} {role:role}s already, and no more can be listed; delist one first",
    "RoleFixed": "{account} is listed as a {role:role} and has no other role; delist it first",
    "EndpointTooLong": "an endpoint has {length} bytes, more than {limit}; give a shorter one",
    "MinTotalOutOfBounds": (
        "a least total stake of {minTotal:tokens} tokens is not between 1/2 and 2/3 of the validators' listed maximum of "
        "{listedMaximum:tokens}; choose one between"
    ),
    "BundleExpired": "the bundle could be applied until {deadline:time}, and it is {timestamp:time}; have a new one signed",
    "Barred": "{account} was convicted and is barred for good; use another account",
    "NotQuiet": (
        "stake, lists and deposits change in quiet time only: no root pending, every convict slashed, the last epoch posted or past its "
        "post window; try again then"
    ),
    # stake
    "AboveMaxStake": (
        "{account} has bonded {stake:tokens} tokens and may bond {maxStake:tokens} at most; bond less, or have a bundle raise its maximum"
    ),
    "BelowStake": "{account} has bonded {stake:tokens} tokens, less than the {amount:tokens} asked for; unbond less",
    "NotOwner": "{caller} is neither {account} nor its recipient; send it from one of them",
    "NothingUnbonding": "no stake of {account} is on its way out; unbond first",
    "StakeLocked": "the stake can be withdrawn from {releaseAt:time} on; try again then",
    # frauds
    "NotConvictor": "{caller} may convict nobody; frauds are shown to the Judge",
    "AlreadyConvicted": "{account} was convicted before; slash it if it is not slashed yet",
    "NotConvicted": "{account} was not convicted; show the fraud to the Judge first",
    "AlreadySlashed": "the stake of {account} has been taken already; there is nothing left to do",
    "NothingToSlash": "{account} has no validator's stake, bonded or on its way out; nothing can be taken from it",
    "NothingToCollect": "no share of slashed stake waits for {reporter}; slash the convicts it reported first",
    "AlreadyCommitted": "the commitment {commitment} is recorded already; show its proof from the next block on",
    "NotCommitted": (
        "no earlier block holds the commitment {commitment} of this proof, reporter and salt; commit, and show the proof in a later block"
    ),
    "NothingTriable": "no root is pending, and none was cancelled that is still to be tried; there is nothing to prove a fraud of",
    "SameStatement": "both statements are the same, {digest}; two different ones are a fraud",
    "DifferentRounds": "the statements are about epoch {epochA} round {roundA} and epoch {epochB} round {roundB}; that is no fraud",
    "DifferentSigners": "the statements are signed by {a} and by {b}; only two of one validator are a fraud",
    "DifferentAccounts": "the leaves are of {a} and of {b}; give two of one account",
    "NotFallen": "no field of the leaf of {account} is below its parent's; that is no fraud",
    "SameLeaf": "both leaves of {account} are the same; two different ones are a fraud",
    "NotOverspent": "{account} spent {spent:tokens} of the {deposit:tokens} tokens it has deposited; that is no fraud",
    "InRange": "every field of the leaf of {account} is in range; that is no fraud",
    "WithinTotal": "the leaves summed up earned {earned:tokens} tokens, within the root's {totalEarned:tokens}; sum up the rest",
    "NotAscending": "the leaf hash {hash} does not follow {previous}; sum leaves up by ascending hash, from the last one on",
    # providers
    "AlreadyRegistered": "{provider} is registered already; there is nothing to do",
    "NotRegistered": "{provider} is not registered; register first",
    "NotRecipient": "the pay of {account} goes to {recipient}, and only that account may change it, not {caller}; send it from there",
    "ReferrerNotRegistered": "the referrer {referrer} is not a registered provider; name one that is, or none",
    "ReferrerFixed": "{provider} named the referrer {referrer} when it first registered; name that one, or none",
    "NoBondWaiting": "no bond of {provider} waits to be paid back; unregister first",
    "BondLocked": "the bond can be withdrawn from {releaseAt:time} on; try again then",
    # funds and deposits
    "FundedTooHigh": "the funds are {funded:tokens} tokens and may come to {limit:tokens} at most; fund less",
    "DepositsTooHigh": "all deposits are {deposits:tokens} tokens and may come to {limit:tokens} at most; deposit less",
    "DepositedTooHigh": "{account} has deposited {deposited:tokens} tokens in its life, of at most {limit:tokens}; use another account",
    "BelowMinDeposit": "{amount:tokens} tokens are less than the least deposit of {minDeposit:tokens}; deposit more",
    "NotSettlement": "{caller} is not the settlement contract, and only that one draws on the Vault",
    "InsufficientFunds": "{amount:tokens} tokens are more than the {available:tokens} in the Vault; this is a fault of the contracts",
    "HasExited": "{account} has exited; withdraw first, then deposit again",
    "NotExited": "{account} has not exited; exit first",
    "NothingDeposited": "{account} has no deposit; there is nothing to exit with",
    "RootTooOld": (
        "the active root covers epochs up to {through}, and the exit was in {exitEpoch}; try again once a root covers a later one, or the "
        "exit delay is over"
    ),
    "SpentAboveDeposit": "the leaf has spent {spent:tokens} tokens, more than the {deposit:tokens} deposited; nothing can be withdrawn",
    "SpentNotCovered": (
        "{left:tokens} tokens would be left of all deposits, less than the {totalSpent:tokens} that providers were promised; try again "
        "with a later root"
    ),
    "TooEarly": "this is possible from {from:time} on; try again then",
    "AlreadyAnnounced": "the withdrawal of {account} is announced and can be paid from {payableAt:time} on; wait until then",
    "NothingAnnounced": "{account} has announced no withdrawal, or it was refuted with its leaf; withdraw with the leaf",
    # candidates and roots
    "EpochNotOpen": "epoch {epoch} is not the one that ended last, which is {lastEnded}; only that one can be proposed and posted",
    "OutsideWindow": (
        "this is possible from {opensAt:time} to {closesAt:time}, and it is {timestamp:time}; what was missed is covered by the next root"
    ),
    "EpochAlreadyPosted": "epochs up to {lastPosted} have been posted, and {epoch} is not above; there is nothing to do",
    "RoundNotOpen": "round {round} is not the open one, which is {openRound}; propose in the open one",
    "AlreadyProposed": "epoch {epoch} has a candidate of round {round}; wait for the next round",
    "NotProposer": "the proposer of this round is {proposer}, not {caller}; wait for a round of one's own",
    "ZeroDigest": "the digest is zero; give that of the attestation",
    "ZeroRoot": "the root is zero; a root always has leaves",
    "RootPending": "another root is pending until {activeAt:time}; post after it is active",
    "NotNewestCandidate": "{digest} is not the newest candidate, which is {candidate}; sign and post that one",
    "WrongParentRoot": "the attestation builds on the root {given}, and the active one is {active}; build on that",
    "WrongThrough": "the root covers epochs up to {given}, and it has to up to {expected}; compute it anew",
    "WrongRules": "the attestation applies the rules {given}, and those in force are {inForce}; start anew with those",
    "EarnedFell": "the total earned, {given:tokens} tokens, is below the parent's {parent:tokens}; compute the root anew",
    "SpentFell": "the total spent, {given:tokens} tokens, is below the parent's {parent:tokens}; compute the root anew",
    "AboveDeposits": "the total spent, {spent:tokens} tokens, is above all deposits of {deposits:tokens}; compute the root anew",
    "AboveBudget": "earnings grow by {growth:tokens} tokens, above the budget of {budget:tokens}; compute the root anew",
    "AboveFunds": "the total earned, {earned:tokens} tokens, is above the {funds:tokens} that are there; compute the root anew",
    "InvalidSignatures": "{length} bytes are not a whole number of 65-byte signatures; join them anew",
    "InvalidSignature": "signature number {index} (from 0) is of no key; collect it anew",
    "SignersNotAscending": "the signer {signer} does not follow {previous}; join signatures by ascending signer, each once",
    "NotAValidator": "{account} signed and is no validator with stake; leave its signature out",
    "StakeTooLow": "the validators have bonded {total:tokens} tokens, less than the {minTotal:tokens} needed; bond more",
    "QuorumNotReached": "the signers hold {signed:tokens} of {total:tokens} tokens of stake, less than 2/3; collect more signatures",
    "NothingToActivate": "no root is ready to be activated (its time: {activeAt:time}); try again then, if one is pending",
    "NothingPending": "no root is pending; there is nothing to cancel",
    # claims
    "NoActiveRoot": "no root is active yet; try again once the first one is",
    "LeafOutOfRange": "a field of the leaf is out of range; such a leaf can be reported to the Judge, but not used",
    "NotInTree": "the leaf of {account} does not lead to the root {root}; fetch leaf and path of that root",
    "NothingToClaim": "{account} has been paid {claimed:tokens} tokens, all that its leaf says; try again with a newer root",
    "PotEmpty": "{due:tokens} tokens are due and the pot is empty; try again after the next activation",
    "NotNewer": "the reputation of epoch {stored} is stored, and that of epoch {epoch} is not newer; there is nothing to do",
    "InvalidMultiproof": "the proof for all leaves together does not lead to the active root; build it anew from the root's tree",
    # the guard
    "IsPaused": "posting and claiming are paused until {until:time}; try again then",
    "NotPaused": "nothing is paused; there is nothing to end",
    "PauseTooSoon": "the next pause may begin at {pausableFrom:time}; cancel roots one by one until then",
    "NotGuardian": "{caller} is not the guardian, or its powers have not begun; only the guardian may do this",
    "NotNominee": "{nominee} may take over the guard, not {caller}; be nominated first",
    "NotRegistry": "{caller} is not the Registry; the guardian is replaced by a bundle of the validators",
    "NotVault": "{caller} is not the Vault, and only that one tells the settlement contract of funds and deposits",
    "NotJudge": "{caller} is not the Judge; frauds are shown to the Judge",
}


def sentence_of(name: str, facts: Mapping[str, object]) -> str | None:
    """The sentence for an error with these arguments; None if the error is none of ours."""
    template = SENTENCES.get(name)
    return None if template is None else _WORDS.vformat(template, (), facts)


class _Words(Formatter):
    def format_field(self, value: Any, format_spec: str) -> str:
        match format_spec:
            case "tokens":
                return tokens(value)
            case "time":
                return f"{datetime.fromtimestamp(value, UTC):%Y-%m-%d %H:%M:%S} UTC" if 0 < value <= LATEST_TIME else f"second {value}"
            case "role":
                return ROLES[value] if value < len(ROLES) else f"role {value}"
            case _:
                return str(super().format_field(value, format_spec))


_WORDS = _Words()
