"""The doctor's try of the way out: a name is resolved, judged by the own policy, and connected to, as for a consumer's stream."""

from __future__ import annotations

import asyncio

from provider.config import ProviderConfig
from provider.doctor.findings import Finding
from provider.doctor.remedies import remedy
from provider.sessions.egress import Policy, Resolver, choose, own_addresses
from wire.addresses import parse_ip
from wire.refusals import Refused

CONNECT_S = 5.0
CHECK = "way out"


async def check_egress(config: ProviderConfig, policy: Policy, host: str, port: int) -> Finding:
    """That names are resolved here, that the policy lets consumers go somewhere, and that connections leave from `bind_host`."""
    resolver = Resolver()
    try:
        policy.check_port(port)
        policy.check_name(host)
        chosen = choose(policy, await resolver.addresses(host, port), port, own_addresses(config.reachable_host), ())
        local = (config.bind_host, 0) if parse_ip(config.bind_host).version == chosen.address.version else None
        async with asyncio.timeout(CONNECT_S):
            _, writer = await asyncio.open_connection(str(chosen.address), port, local_addr=local)
    except Refused as refused:
        return Finding(CHECK, refused.code, f"{host}:{port}: {refused.message}", remedy(refused.code))
    except (OSError, TimeoutError):
        return Finding(CHECK, "host_unreachable", f"{host}:{port} is not reached", remedy("host_unreachable"))
    finally:
        resolver.close()
    writer.transport.abort()
    return Finding(CHECK, "ok", f"{host} is resolved and allowed, and port {port} is reached")
