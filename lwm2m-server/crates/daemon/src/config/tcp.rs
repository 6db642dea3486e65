//! `[tcp]`: what a device that is connected may take.

use std::time::Duration;

use anyhow::bail;
use lwm2m_coap::tcp::ConnectionLimits;
use serde::Deserialize;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct TcpSection {
    message_max: Option<usize>,
    csm_timeout_s: Option<u64>,
    message_timeout_s: Option<u64>,
    idle_timeout_s: Option<u64>,
    pong_timeout_s: Option<u64>,
}

impl TcpSection {
    pub(super) fn apply(&self, limits: &mut ConnectionLimits) -> anyhow::Result<()> {
        if let Some(bytes) = self.message_max {
            // RFC 8323 assumes 1152 of whoever says nothing else.
            if !(1152..=16 << 20).contains(&bytes) {
                bail!("[tcp] message_max = {bytes}: use 1152 to 16777216");
            }
            limits.message_max = bytes;
        }
        for (key, value, target) in [
            (
                "csm_timeout_s",
                self.csm_timeout_s,
                &mut limits.capabilities_timeout,
            ),
            (
                "message_timeout_s",
                self.message_timeout_s,
                &mut limits.message_timeout,
            ),
            (
                "idle_timeout_s",
                self.idle_timeout_s,
                &mut limits.idle_timeout,
            ),
            (
                "pong_timeout_s",
                self.pong_timeout_s,
                &mut limits.pong_timeout,
            ),
        ] {
            match value {
                Some(seconds @ 1..=31_536_000) => *target = Duration::from_secs(seconds),
                Some(seconds) => bail!("[tcp] {key} = {seconds}: use 1 to 31536000"),
                None => {}
            }
        }
        Ok(())
    }
}
