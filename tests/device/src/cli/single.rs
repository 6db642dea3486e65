//! One device, told line by line.

use std::time::Duration;

use anyhow::{Result, bail};
use lwm2m_core::{Path, Version};
use lwm2m_device::objects::{
    DeviceObject, Firmware, Location, Temperature, connectivity_monitoring, portfolio,
};
use lwm2m_device::{BootstrapAccount, Device, DeviceBuilder, DeviceEvent, RegistrationError};
use tokio::sync::broadcast;

use super::server::Target;
use super::{Arguments, until_the_end};

/// How long a de-registration may take.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) async fn run(arguments: &Arguments, target: Target) -> Result<()> {
    let server = target.address;
    let account = match target.is_secure && !target.is_stream {
        true => Some(arguments.security.account(&arguments.endpoint)?),
        false => None,
    };
    let mut builder = builder(arguments).server(server);
    if target.is_stream {
        builder = match target.is_secure {
            true => over_tls(builder, arguments)?,
            false => builder.tcp(),
        };
    }
    if arguments.bootstrap.is_some() {
        let mut bootstrap = BootstrapAccount::new(server);
        bootstrap.dtls = account;
        builder = builder.bootstrap(bootstrap);
    } else if let Some(account) = account {
        builder = builder.dtls(account);
    }
    let device = builder.start().await?;
    println!(
        "{} towards {server}, LwM2M {}, lifetime {} s",
        arguments.endpoint, arguments.version, arguments.lifetime
    );
    let mut events = device.events();
    let end = until_the_end(arguments.run_for);
    tokio::pin!(end);
    loop {
        let event = tokio::select! {
            () = &mut end => break,
            event = events.recv() => event,
        };
        match event {
            Ok(DeviceEvent::RegistrationFailed(RegistrationError::Refused { code, reason }))
                if code.class() == 4 =>
            {
                bail!("{}", refusal(&arguments.endpoint, code, &reason));
            }
            Ok(DeviceEvent::BootstrapFailed(RegistrationError::Refused { code, reason }))
                if code.class() == 4 =>
            {
                bail!("{}", bootstrap_refusal(&arguments.endpoint, code, &reason));
            }
            Ok(DeviceEvent::RegistrationFailed(error) | DeviceEvent::BootstrapFailed(error))
                if error.is_final() =>
            {
                let hint = error.hint().unwrap_or("see the server's log");
                bail!("{error}: {hint}");
            }
            Ok(event) => tell(&event),
            Err(broadcast::error::RecvError::Lagged(missed)) => println!("... {missed} events"),
            Err(broadcast::error::RecvError::Closed) => return Ok(()),
        }
    }
    if device.status().registered {
        println!("de-registers");
        if tokio::time::timeout(PATIENCE, device.deregister())
            .await
            .is_err()
        {
            println!(
                "no answer to the De-register within {} s",
                PATIENCE.as_secs()
            );
        }
    }
    Ok(())
}

#[cfg(feature = "tls-psk")]
fn over_tls(builder: DeviceBuilder, arguments: &Arguments) -> Result<DeviceBuilder> {
    Ok(builder.tls(arguments.security.tls_account(&arguments.endpoint)?))
}

/// Nothing here asks for it: the scheme is refused before.
#[cfg(not(feature = "tls-psk"))]
fn over_tls(_: DeviceBuilder, _: &Arguments) -> Result<DeviceBuilder> {
    bail!("coaps+tcp needs the feature tls-psk of lwm2m-device")
}

fn builder(arguments: &Arguments) -> DeviceBuilder {
    let version = arguments.version;
    let mut sensor = Temperature::new(2);
    let mut place = Location::new(52.52, 13.405);
    if let Some(interval) = arguments.interval() {
        sensor = sensor.drifting(interval, 1);
        place = place.moving(interval, 2);
    }
    let builder = Device::builder(&arguments.endpoint)
        .version(version)
        .lifetime_s(arguments.lifetime)
        .queue_mode(arguments.queue_mode)
        .alternate_path(&arguments.alternate_path)
        .object(DeviceObject::new(
            version,
            "lwm2m-device",
            &arguments.endpoint,
        ))
        .object(connectivity_monitoring(version))
        .object(Firmware::new("1.0.0"))
        .object(place)
        .object(sensor);
    if version > Version::V1_0 {
        builder.object(portfolio())
    } else {
        builder
    }
}

fn refusal(endpoint: &str, code: lwm2m_coap::Code, reason: &str) -> String {
    let hint = match code.to_string().as_str() {
        "4.00" => "the server finds a parameter or the object list wrong",
        "4.03" => "the server does not accept this endpoint; check --endpoint",
        "4.04" => "there is no registration interface; check --server",
        "4.12" => "the server accepts none of our versions; check --version",
        _ => "see the server's log",
    };
    let reason = if reason.is_empty() {
        String::new()
    } else {
        format!(" ({reason})")
    };
    format!("the server refused '{endpoint}' with {code:?}{reason}: {hint}")
}

fn bootstrap_refusal(endpoint: &str, code: lwm2m_coap::Code, reason: &str) -> String {
    let hint = match code.to_string().as_str() {
        "4.00" => "it has no plan for this name, or the name is not for these credentials",
        "4.04" => "there is no bootstrap interface; check --bootstrap",
        _ => "see the server's log",
    };
    let reason = if reason.is_empty() {
        String::new()
    } else {
        format!(" ({reason})")
    };
    format!("the bootstrap server refused '{endpoint}' with {code:?}{reason}: {hint}")
}

fn tell(event: &DeviceEvent) {
    match event {
        DeviceEvent::Registered { location, version } => {
            println!("registered at /{location} with LwM2M {version}");
        }
        DeviceEvent::Bootstrapped { server } => println!("bootstrapped: registers at {server}"),
        DeviceEvent::BootstrapFailed(error) => {
            println!("bootstrap failed: {error}; tries again");
        }
        DeviceEvent::RegistrationFailed(error) => {
            println!("registration failed: {error}; tries again");
        }
        DeviceEvent::UpdateFailed(error) => println!("update failed: {error}"),
        DeviceEvent::Updated => println!("updated"),
        DeviceEvent::Deregistered => println!("de-registered"),
        DeviceEvent::Requested { method, path, code } => {
            let path = path.map_or_else(|| "?".to_owned(), |path| path.to_string());
            let code = code.map_or_else(|| "no answer".to_owned(), |code| format!("{code:?}"));
            println!("{} {path} -> {code}", method.name());
        }
        DeviceEvent::ObservationStarted { paths, .. } => println!("observed: {}", list(paths)),
        DeviceEvent::ObservationEnded { .. } => println!("an observation has ended"),
        DeviceEvent::Notified { confirmable, .. } => {
            println!("notified ({})", if *confirmable { "CON" } else { "NON" });
        }
        DeviceEvent::SessionUp { suite, resumed } => {
            let how = if *resumed { "continued" } else { "opened" };
            println!("DTLS session {how}: {suite}");
        }
        DeviceEvent::Connected => println!("connected"),
        DeviceEvent::Disconnected { reason } => println!("disconnected: {reason}; connects again"),
        DeviceEvent::SessionDown { reason } => println!("DTLS session over: {reason}"),
        DeviceEvent::Rebooted => println!("rebooted"),
        DeviceEvent::Asleep => println!("asleep"),
        DeviceEvent::Awake => println!("awake"),
        other => println!("{other:?}"),
    }
}

fn list(paths: &[Path]) -> String {
    let paths: Vec<String> = paths.iter().map(Path::to_string).collect();
    paths.join(" ")
}
