//! Scandium as a client of our server, with Connection IDs.

use std::path::Path;

use anyhow::ensure;

use super::super::peer::Peer;
use super::super::report::Report;
use super::exchange::{created, register};
use super::material::Material;
use super::programs::{Credential, bytes_as_hex, scandium};
use super::relay::Relay;
use super::rows::Rows;
use super::target::Target;
use super::{BAD_CERTIFICATES, BAD_KEYS, BAD_SERVERS, GOOD, modes};

/// Every mode, good and bad credentials, resumption, Connection IDs.
pub(super) fn run(root: &Path, material: &Material, report: &mut Report) -> anyhow::Result<()> {
    let target = &Target::start(root, material, "server")?;
    let mut rows = Rows::new(report, "scandium", "dtls client", &[]);
    let start = |port, credential, more: &[&str]| {
        Peer::start(scandium(root, material, port, credential, more))
    };
    let passes = |credential, mode: &str, kind: &str| {
        for cipher in ["CCM_8", "CCM", "GCM"] {
            let suffix = if cipher == "GCM" { "_SHA256" } else { "" };
            let suite = format!("suite=TLS_{kind}_WITH_AES_128_{cipher}{suffix}");
            let mut device = start(target.port, credential, &[&suite])?;
            ask(&mut device, 1)?;
            target.session()?.expect("full", mode, cipher)?;
        }
        anyhow::Ok(())
    };
    let refused = |(credential, reason): (Credential, &str)| {
        let mut device = start(target.port, credential, &[])?;
        device.tell(&format!("send {}", bytes_as_hex(&register("dev1", 1))))?;
        target.refused(reason)?;
        device.hear("broken")?;
        anyhow::Ok(())
    };
    rows.row("psk: CCM_8, CCM, GCM", || passes(GOOD, "psk", "PSK"));
    rows.row("psk: wrong key, unknown identity", || {
        BAD_KEYS.into_iter().try_for_each(refused)
    });
    rows.row("rpk: CCM_8, CCM, GCM", || {
        passes(Credential::Rpk("client"), "rpk", "ECDHE_ECDSA")
    });
    rows.row("rpk: unknown key", || {
        refused((Credential::Rpk("strange"), "rpk-unknown"))
    });
    rows.row("x509: CCM_8, CCM, GCM", || {
        passes(Credential::X509("client"), "x509", "ECDHE_ECDSA")
    });
    rows.row("x509: expired, unknown issuer", || {
        BAD_CERTIFICATES[..2]
            .iter()
            .try_for_each(|bad| refused(*bad))
    });
    for (certificate, what) in BAD_SERVERS {
        rows.row(&format!("x509: the server's certificate {what}"), || {
            let target = Target::start(root, material, certificate)?;
            let mut device = start(target.port, Credential::X509("client"), &[])?;
            device.tell(&format!("send {}", bytes_as_hex(&register("dev1", 1))))?;
            device.hear("broken")?;
            let ended = target.ended()?;
            ensure!(ended.starts_with("refused dtls-peer-alert"), "{ended}");
            Ok(())
        });
    }
    for (credential, mode) in modes() {
        for length in ["0", "4"] {
            let name = format!("cid: {mode}, of length {length}, the port changes");
            rows.row(&name, || {
                let relay = Relay::to(target.port)?;
                let mut device = start(relay.port, credential, &[&format!("cid={length}")])?;
                ask(&mut device, 1)?;
                let session = target.session()?;
                session.expect("full", mode, "")?;
                ensure!(session.cid == "cid", "{session:?}");
                relay.move_on()?;
                ask(&mut device, 2)?;
                target.moved()?;
                ask(&mut device, 3)
            });
        }
        rows.row(&format!("resumed: {mode}"), || {
            let mut device = start(target.port, credential, &[])?;
            ask(&mut device, 1)?;
            target.session()?.expect("full", mode, "")?;
            device.tell("resume")?;
            ask(&mut device, 2)?;
            target.session()?.expect("resumed", mode, "")?;
            device.tell("forget")?;
            ask(&mut device, 3)?;
            target.session()?.expect("full", mode, "")
        });
    }
    Ok(())
}

/// A Register through Scandium, answered.
fn ask(device: &mut Peer, message_id: u16) -> anyhow::Result<()> {
    let request = bytes_as_hex(&register("dev1", message_id));
    device.tell(&format!("send {request}"))?;
    device.hear(&format!("received {}", bytes_as_hex(&created(message_id))))?;
    Ok(())
}
