//! The owner's side of a running device.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use lwm2m_coap::{Code, Failure};
use lwm2m_core::{Path, Value, Version};
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use super::driver::Command;
use crate::{Client, ClientStatistics, DeviceEvent, RegistrationError, ResourceValue, SendError};

/// A running device. Clones name the same device; when the last one goes, the device stops
/// without a word, as when its power fails.
#[derive(Clone)]
pub struct DeviceHandle {
    endpoint_name: Arc<str>,
    commands: mpsc::Sender<Command>,
    events: broadcast::Sender<DeviceEvent>,
    status: watch::Receiver<DeviceStatus>,
}

/// How a device is doing.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct DeviceStatus {
    /// False once the device has stopped.
    pub running: bool,
    /// True between the answer to a Register and the end of the registration.
    pub registered: bool,
    /// The location of the registration, without leading slash.
    pub location: Option<String>,
    /// The version that the device registers with.
    pub version: Option<Version>,
    /// Where it sends from.
    pub local_address: Option<SocketAddr>,
    /// Observations that stand.
    pub observations: usize,
    /// Counters.
    pub statistics: ClientStatistics,
    /// Why the last Register or Update failed; none after one that succeeded.
    pub last_error: Option<RegistrationError>,
}

impl Default for DeviceStatus {
    fn default() -> DeviceStatus {
        DeviceStatus {
            running: true,
            registered: false,
            location: None,
            version: None,
            local_address: None,
            observations: 0,
            statistics: ClientStatistics::default(),
            last_error: None,
        }
    }
}

impl std::fmt::Debug for DeviceHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("DeviceHandle")
            .field(&self.endpoint_name)
            .finish()
    }
}

impl DeviceHandle {
    pub(super) fn new(
        endpoint_name: Arc<str>,
        commands: mpsc::Sender<Command>,
        events: broadcast::Sender<DeviceEvent>,
        status: watch::Receiver<DeviceStatus>,
    ) -> DeviceHandle {
        DeviceHandle {
            endpoint_name,
            commands,
            events,
            status,
        }
    }

    /// The endpoint name.
    pub fn endpoint_name(&self) -> &str {
        &self.endpoint_name
    }

    /// What happens from now on.
    pub fn events(&self) -> broadcast::Receiver<DeviceEvent> {
        self.events.subscribe()
    }

    /// How the device is doing now.
    pub fn status(&self) -> DeviceStatus {
        self.status.borrow().clone()
    }

    /// Waits until the device is registered. Attempts that get no answer are repeated.
    ///
    /// # Errors
    /// The server has refused or the handshake has failed, or the device has stopped.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn wait_registered(&self) -> Result<(), DeviceError> {
        let done = |status: &DeviceStatus| {
            let refused = status
                .last_error
                .as_ref()
                .is_some_and(RegistrationError::is_final);
            status.registered || refused || !status.running
        };
        let status = self.wait_for(done).await;
        match status.last_error {
            _ if status.registered => Ok(()),
            Some(error) if status.running => Err(DeviceError::Registration(error)),
            _ => Err(DeviceError::Stopped),
        }
    }

    /// Waits until something is true of the status; gives the last one when the device stops
    /// before.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn wait_for(&self, done: impl FnMut(&DeviceStatus) -> bool) -> DeviceStatus {
        let mut status = self.status.clone();
        match status.wait_for(done).await {
            Ok(found) => found.clone(),
            Err(_) => self.status(),
        }
    }

    /// Sets a value. Observers are told as their attributes ask.
    ///
    /// # Errors
    /// The device has stopped.
    pub async fn set(
        &self,
        path: &Path,
        value: impl Into<ResourceValue>,
    ) -> Result<(), DeviceError> {
        let (path, value) = (*path, value.into());
        self.with(move |client, now| client.set(now, &path, value))
            .await
    }

    /// The value of a single-instance resource, or of a resource instance.
    ///
    /// # Errors
    /// The device has stopped.
    pub async fn value(&self, path: &Path) -> Result<Option<Value<'static>>, DeviceError> {
        let path = *path;
        self.with(move |client, _| client.value(&path)).await
    }

    /// Sends an Update.
    ///
    /// # Errors
    /// The device has stopped.
    pub async fn update(&self) -> Result<(), DeviceError> {
        self.with(|client, now| client.update(now)).await
    }

    /// Reads these paths and sends the values (Send); gives the code of the server's answer.
    ///
    /// # Errors
    /// The device may not send, or there is no answer.
    pub async fn send(&self, paths: &[Path]) -> Result<Code, DeviceError> {
        let mut events = self.events();
        let paths = paths.to_vec();
        let sent = self
            .with(move |client, now| client.send(now, &paths))
            .await??;
        loop {
            match events.recv().await {
                Ok(DeviceEvent::Sent { id, outcome }) if id == sent => {
                    return outcome.map_err(DeviceError::NoAnswer);
                }
                Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return Err(DeviceError::Stopped),
            }
        }
    }

    /// Forgets the registration and registers anew, as after a power cycle.
    ///
    /// # Errors
    /// The device has stopped.
    pub async fn reboot(&self) -> Result<(), DeviceError> {
        self.with(|client, now| client.reboot(now)).await
    }

    /// Switches the network off or on.
    ///
    /// # Errors
    /// The device has stopped.
    pub async fn set_offline(&self, offline: bool) -> Result<(), DeviceError> {
        self.with(move |client, now| client.set_offline(now, offline))
            .await
    }

    /// Sends from another port from now on, as behind a NAT that has forgotten.
    ///
    /// # Errors
    /// The device has stopped.
    pub async fn rebind(&self) -> Result<Option<SocketAddr>, DeviceError> {
        let (done, answer) = oneshot::channel();
        self.command(Command::Rebind(done)).await?;
        answer.await.map_err(|_| DeviceError::Stopped)
    }

    /// De-registers, and waits until the server has answered; the device then has stopped.
    ///
    /// # Errors
    /// The device has stopped before.
    pub async fn deregister(&self) -> Result<(), DeviceError> {
        self.with(|client, now| client.deregister(now)).await?;
        self.wait_for(|status| !status.running).await;
        Ok(())
    }

    /// Stops without a word, as when the power fails.
    pub async fn stop(&self) {
        let stopped = self.with(|client, _| client.stop()).await;
        if stopped.is_ok() {
            self.wait_for(|status| !status.running).await;
        }
    }

    /// Does anything to the client, in its own task.
    ///
    /// # Errors
    /// The device has stopped.
    pub async fn with<R: Send + 'static>(
        &self,
        action: impl FnOnce(&mut Client, Instant) -> R + Send + 'static,
    ) -> Result<R, DeviceError> {
        let (done, answer) = oneshot::channel();
        let action = Box::new(move |client: &mut Client, now| {
            // Nobody may wait any more.
            let _ = done.send(action(client, now));
        });
        self.command(Command::Client(action)).await?;
        answer.await.map_err(|_| DeviceError::Stopped)
    }

    async fn command(&self, command: Command) -> Result<(), DeviceError> {
        let sent = self.commands.send(command).await;
        sent.map_err(|_| DeviceError::Stopped)
    }
}

/// Why something asked of a device has not happened.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// The device has stopped.
    #[error("the device has stopped")]
    Stopped,
    /// The server has refused the registration.
    #[error("registration failed: {0}")]
    Registration(RegistrationError),
    /// A Send was not started.
    #[error(transparent)]
    Send(#[from] SendError),
    /// The server has not answered.
    #[error("no answer: {0}")]
    NoAnswer(Failure),
}
