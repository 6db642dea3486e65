//! `[limits]`

use std::time::Duration;

use anyhow::bail;
use lwm2m_server::Limits;
use serde::Deserialize;

use super::set;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct LimitsSection {
    registrations_max: Option<usize>,
    device_queue_max: Option<usize>,
    observations_max: Option<usize>,
    mailbox_max: Option<usize>,
    subscriber_queue_max: Option<usize>,
    observation_queue_max: Option<usize>,
    annotations_max: Option<usize>,
    profiles_max: Option<usize>,
    routes_max: Option<usize>,
    refusals_per_second: Option<u32>,
    oscore_contexts_max: Option<usize>,
    local_addresses_max: Option<usize>,
    connections_max: Option<usize>,
    connections_per_address_max: Option<usize>,
    connection_queue_max: Option<usize>,
    parked_requests_max: Option<usize>,
    parked_per_device_max: Option<usize>,
    transforms_max: Option<usize>,
    transforms_per_device_max: Option<usize>,
    credential_lookups_max: Option<usize>,
    granted_credentials_max: Option<usize>,
    device_hooks_max: Option<usize>,
    device_hooks_per_device_max: Option<usize>,
    device_hooks_parallel_max: Option<usize>,
    hook_timeout_s: Option<u64>,
    device_hook_timeout_s: Option<u64>,
}

impl LimitsSection {
    /// Puts what is given in the place of the defaults.
    ///
    /// # Errors
    /// A limit of extensions with which they could never be asked.
    pub(super) fn apply(&self, limits: &mut Limits) -> anyhow::Result<()> {
        for (key, value) in [
            ("parked_requests_max", self.parked_requests_max),
            ("parked_per_device_max", self.parked_per_device_max),
            ("transforms_max", self.transforms_max),
            ("transforms_per_device_max", self.transforms_per_device_max),
            ("credential_lookups_max", self.credential_lookups_max),
            ("granted_credentials_max", self.granted_credentials_max),
            ("device_hooks_max", self.device_hooks_max),
            (
                "device_hooks_per_device_max",
                self.device_hooks_per_device_max,
            ),
            ("device_hooks_parallel_max", self.device_hooks_parallel_max),
        ] {
            if value == Some(0) {
                bail!("[limits] {key} = 0: use at least 1");
            }
        }
        set(&mut limits.registrations_max, self.registrations_max);
        set(&mut limits.device_queue_max, self.device_queue_max);
        set(&mut limits.observations_max, self.observations_max);
        set(&mut limits.mailbox_max, self.mailbox_max);
        set(&mut limits.subscriber_queue_max, self.subscriber_queue_max);
        set(
            &mut limits.observation_queue_max,
            self.observation_queue_max,
        );
        set(&mut limits.annotations_max, self.annotations_max);
        set(&mut limits.profiles_max, self.profiles_max);
        set(&mut limits.routes_max, self.routes_max);
        set(&mut limits.refusals_per_second, self.refusals_per_second);
        set(&mut limits.oscore_contexts_max, self.oscore_contexts_max);
        set(&mut limits.local_addresses_max, self.local_addresses_max);
        set(&mut limits.connections_max, self.connections_max);
        set(
            &mut limits.connections_per_address_max,
            self.connections_per_address_max,
        );
        set(&mut limits.connection_queue_max, self.connection_queue_max);
        set(&mut limits.parked_requests_max, self.parked_requests_max);
        set(
            &mut limits.parked_per_device_max,
            self.parked_per_device_max,
        );
        set(&mut limits.transforms_max, self.transforms_max);
        set(
            &mut limits.transforms_per_device_max,
            self.transforms_per_device_max,
        );
        set(
            &mut limits.credential_lookups_max,
            self.credential_lookups_max,
        );
        set(
            &mut limits.granted_credentials_max,
            self.granted_credentials_max,
        );
        set(&mut limits.device_hooks_max, self.device_hooks_max);
        set(
            &mut limits.device_hooks_per_device_max,
            self.device_hooks_per_device_max,
        );
        set(
            &mut limits.device_hooks_parallel_max,
            self.device_hooks_parallel_max,
        );
        let hook_timeout = seconds("hook_timeout_s", self.hook_timeout_s)?;
        set(&mut limits.hook_timeout, hook_timeout);
        let timeout = seconds("device_hook_timeout_s", self.device_hook_timeout_s)?;
        set(&mut limits.device_hook_timeout, timeout);
        Ok(())
    }
}

fn seconds(key: &str, seconds: Option<u64>) -> anyhow::Result<Option<Duration>> {
    match seconds {
        Some(seconds) if !(1..=3600).contains(&seconds) => {
            bail!("[limits] {key} = {seconds}: use 1 to 3600")
        }
        seconds => Ok(seconds.map(Duration::from_secs)),
    }
}
