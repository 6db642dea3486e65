"""Contexts of aiocoap for devices, which ask and are asked through the same one."""

import aiocoap
from aiocoap.credentials import TLSCert
from aiocoap.transports.tls import TLSClient


async def context_of(site, bind, server, *secrets):
    """Plain without secrets, under OSCORE with FOLDER, over TLS with CA CERTIFICATE KEY."""
    if not secrets:
        return await aiocoap.Context.create_server_context(site, bind=bind)
    if len(secrets) == 1:
        return await under_oscore(site, bind, server, *secrets)
    return await over_tls(site, server, *secrets)


async def under_oscore(site, bind, server, folder):
    """Both directions under one OSCORE context, as aiocoap keeps it."""
    from aiocoap import credentials, oscore, oscore_sitewrapper

    secret = oscore.FilesystemSecurityContext(folder)
    known = credentials.CredentialsMap()
    known[":server"] = secret
    wrapped = oscore_sitewrapper.OscoreSiteWrapper(site, known)
    context = await aiocoap.Context.create_server_context(wrapped, bind=bind)
    context.client_credentials[f"{server}/*"] = secret
    return context


async def over_tls(site, server, authority, *own):
    """Over the connections that the device makes.

    Of the credentials of aiocoap, TLSCert only says whom to believe; a certificate of its own is
    given to its context of ssl.
    """
    if own:
        made = TLSClient._ssl_context_factory

        def with_own(self, host):
            context = made(self, host)
            context.load_cert_chain(*own)
            return context

        TLSClient._ssl_context_factory = with_own
    context = await aiocoap.Context.create_client_context(transports=["tlsclient"])
    context.serversite = site
    context.client_credentials[server + "/*"] = TLSCert(certfile=authority)
    return context
