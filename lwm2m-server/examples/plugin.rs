//! A native plugin with typed objects: it lets only water meters in, and corrects what they report
//! by what they showed when they were installed.
//!
//! `cargo run -p lwm2m-server --example plugin`

mod objects {
    lwm2m_macros::lwm2m_objects!("examples/water-meter.xml");
}

use std::sync::Arc;

use lwm2m_core::Record;
use lwm2m_core::typed::{Readable, Resource, TypedObject};
use lwm2m_device::{Device, SimpleObject, Store};
use lwm2m_registry::Registry;
use lwm2m_server::hooks::{Batch, Outcome};
use lwm2m_server::{
    Annotations, Answer, Code, Decision, Interceptor, Listener, Reason, Refusal, Registration,
    Server,
};
use objects::water_meter::{Volume, WaterMeter};

/// The plugin.
struct Installed {
    /// What every meter showed on its first day, in m3.
    volume: f64,
}

impl Interceptor for Installed {
    fn on_register(&self, registration: &Arc<Registration>) -> Answer<Decision> {
        let meter = WaterMeter::DEFINITION;
        if registration.objects.has_object(meter.id) {
            return Answer::Now(Decision::Annotate(Annotations::fact("kind", meter.name)));
        }
        let message = format!("the device has no {}", meter.name);
        Answer::Now(Decision::Reject(Refusal {
            code: Code::FORBIDDEN,
            reason: Reason::new("no-meter", message).hint("register it with another server"),
        }))
    }

    fn transform(&self, batch: &Arc<Batch>) -> Answer<Outcome> {
        let mut records = batch.records.clone();
        for record in &mut records {
            let place = record.path;
            let meter = place.ids()[1];
            if place == Volume::path(meter)
                && let Ok(volume) = Volume::read_records(meter, &batch.records)
            {
                *record = Record::new(place, volume.value - self.volume);
            }
        }
        Answer::Now(Outcome::Replace(records))
    }
}

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = Server::builder()
        .listen(Listener::coap("127.0.0.1:0".parse()?))
        // The definition comes with the plugin: nobody has to install its XML.
        .models(Arc::new(Registry::with([WaterMeter::DEFINITION.into()])))
        .intercept(Installed { volume: 10.0 })
        .start()
        .await?;
    let device = |name| Device::builder(name).server(server.local_addresses()[0]);
    let meter = WaterMeter {
        volume: Some(12.5),
        ..WaterMeter::default()
    };
    let meter = SimpleObject::new(Store::typed([(0, meter)])?);
    let meter = device("meter").object(meter).start().await?;
    meter.wait_registered().await?;
    let stranger = device("stranger").start().await?;
    stranger
        .wait_registered()
        .await
        .err()
        .ok_or("the stranger came in")?;

    let known = server
        .registration("meter")
        .await
        .ok_or("it is registered")?;
    assert!(
        known
            .annotations
            .contains(&("kind".to_owned(), "Water Meter".to_owned()))
    );
    assert_eq!(server.device("meter").read::<Volume>().await?, 2.5);
    let mut volumes = server.device("meter").observe::<Volume>().await?;
    meter.set(&Volume::path(0), 13.0).await?;
    assert_eq!(volumes.next().await.ok_or("it stands")??, 2.5);
    assert_eq!(volumes.next().await.ok_or("it stands")??, 3.0);
    server.shutdown().await;
    Ok(())
}
