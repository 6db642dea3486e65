//! A models directory that changes while the server runs and devices answer.

#![allow(clippy::unwrap_used)] // tests

use std::fs;
use std::path::Path as FilePath;
use std::sync::Arc;
use std::time::Duration;

use lwm2m_core::{ContentFormat, DataType, ObjectModels, Path, Request, Value};
use lwm2m_device::{Definition, Device, DeviceHandle, SimpleObject, Store};
use lwm2m_registry::{LoadReport, ObjectKey, Registry, Severity, Strictness};
use lwm2m_server::{
    Content, EventKind, Events, Listener, ModelsDirectory, ModelsLoad, RequestOptions, Server,
};
use tempfile::TempDir;

/// The object that no built-in model knows.
const OBJECT: u16 = 42_800;
const TABLE: &[Definition] = &[Definition::read(1, DataType::Integer)];
/// Far longer than a test may take: only notifications lead to a load.
const NEVER: Duration = Duration::from_secs(86_400);
/// For what takes a moment.
const PATIENCE: Duration = Duration::from_secs(60);

fn definition(name: &str, data_type: &str) -> String {
    format!(
        "<LWM2M>\n<Object ObjectType=\"MODefinition\"><Name>{name}</Name>\
         <Description1>A gauge.</Description1><ObjectID>{OBJECT}</ObjectID>\
         <ObjectURN>urn:oma:lwm2m:x:{OBJECT}</ObjectURN>\
         <MultipleInstances>Multiple</MultipleInstances><Mandatory>Optional</Mandatory>\
         <Resources><Item ID=\"1\"><Name>State</Name><Operations>R</Operations>\
         <MultipleInstances>Single</MultipleInstances><Mandatory>Optional</Mandatory>\
         <Type>{data_type}</Type><RangeEnumeration></RangeEnumeration><Units></Units>\
         <Description>A state.</Description></Item></Resources>\
         <Description2></Description2></Object>\n</LWM2M>\n"
    )
}

/// A server that follows a directory, and a device with the object.
struct World {
    server: Server,
    events: Events,
    _device: DeviceHandle,
}

impl World {
    async fn of(directory: ModelsDirectory) -> World {
        let server = Server::builder()
            .listen(Listener::coap("127.0.0.1:0".parse().unwrap()))
            .models_directory(directory.settle_time(Duration::from_millis(20)))
            .start()
            .await
            .unwrap();
        let store = Store::new(OBJECT, TABLE).with_instance(0, [(1, 65)]);
        let device = Device::builder("gauge")
            .server(server.local_addresses()[0])
            .object(SimpleObject::new(store));
        let device = device.start().await.unwrap();
        device.wait_registered().await.unwrap();
        World {
            events: server.events(),
            server,
            _device: device,
        }
    }

    /// What the server makes of the value, which the device answers in a format without types.
    async fn value(&self, accept: ContentFormat) -> Value<'static> {
        let read = Request::Read {
            path: Path::resource(OBJECT, 0, 1),
            accept: Some(accept),
        };
        let device = self.server.device("gauge");
        let answer = device.send(read, RequestOptions::default()).await.unwrap();
        let Content::Values(decoded) = answer.content else {
            panic!("no values: {answer:?}");
        };
        decoded.records[0].value.clone()
    }

    /// The next load that is told of.
    async fn load(&mut self) -> Arc<ModelsLoad> {
        loop {
            let event = self.events.next().await.unwrap().unwrap();
            if let EventKind::ModelsLoaded { load } = &event.kind {
                // It is there when it is told of; another one may have come since.
                let last = self.server.models_load().unwrap();
                assert!(last.at > load.at || last == *load, "{last:?}");
                return Arc::clone(load);
            }
        }
    }

    /// Waits for a load after which the object has this name.
    async fn wait_for(&mut self, name: Option<&str>) -> LoadReport {
        loop {
            let load = self.load().await;
            if self.name().as_deref() == name {
                return load.outcome.clone().unwrap();
            }
        }
    }

    fn name(&self) -> Option<String> {
        let model = self.server.models().object(OBJECT, None)?;
        Some(model.name.to_string())
    }
}

fn key() -> Vec<ObjectKey> {
    let version = "1.0".parse().unwrap();
    vec![ObjectKey {
        id: OBJECT,
        version,
    }]
}

fn watched(folder: &TempDir) -> ModelsDirectory {
    ModelsDirectory::new(folder.path().join("models")).poll_interval(NEVER)
}

fn write(file: &FilePath, name: &str, data_type: &str) {
    fs::write(file, definition(name, data_type)).unwrap();
}

#[tokio::test]
async fn decoding_follows_the_files() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("models");
    fs::create_dir(&directory).unwrap();
    let mut world = World::of(watched(&folder)).await;
    let tlv = ContentFormat::Tlv;
    assert_eq!(world.value(tlv).await, Value::Opaque(vec![65].into()));

    let file = directory.join("gauge.xml");
    write(&file, "Gauge", "Integer");
    let report = world.wait_for(Some("Gauge")).await;
    assert_eq!((report.added, report.files), (key(), 1));
    assert_eq!(world.value(tlv).await, Value::Integer(65));
    assert_eq!(world.value(ContentFormat::Text).await, Value::Integer(65));

    write(&file, "Letter", "String");
    assert_eq!(world.wait_for(Some("Letter")).await.changed, key());
    assert_eq!(world.value(tlv).await, Value::String("A".into()));
    let text = world.value(ContentFormat::Text).await;
    assert_eq!(text, Value::String("65".into()));

    // In one step: a file that is not written to its end is broken in another line.
    let draft = directory.join("broken.tmp");
    fs::write(&draft, "<LWM2M>\n<Object>\n</LWM2M>").unwrap();
    fs::rename(&draft, &file).unwrap();
    let load = loop {
        let load = world.load().await;
        if load.errors() > 0 {
            break load;
        }
    };
    let report = load.outcome.as_ref().unwrap();
    assert_eq!(report.kept, key());
    let error = report.diagnostics.first().unwrap();
    assert_eq!(error.severity, Severity::Error);
    assert!(error.file.ends_with("gauge.xml"), "{error}");
    assert_eq!(error.line, 3, "{error}");
    assert_eq!(world.value(tlv).await, Value::String("A".into()));

    // As editors save: another file, then renamed.
    let draft = directory.join(".gauge.xml.swp");
    write(&draft, "Mended", "Integer");
    fs::rename(&draft, &file).unwrap();
    let report = world.wait_for(Some("Mended")).await;
    assert_eq!((report.changed, report.kept), (key(), vec![]));
    assert_eq!(world.value(tlv).await, Value::Integer(65));

    fs::remove_file(&file).unwrap();
    assert_eq!(world.wait_for(None).await.removed, key());
    assert_eq!(world.value(tlv).await, Value::Opaque(vec![65].into()));
    world.server.shutdown().await;
}

#[cfg(unix)]
#[tokio::test]
async fn a_link_that_is_turned_brings_its_models() {
    use std::os::unix::fs::symlink;

    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for (release, name) in [("one", "One"), ("two", "Two")] {
        fs::create_dir(at(release)).unwrap();
        write(&at(release).join("a.xml"), name, "Integer");
    }
    symlink("one", at("models")).unwrap();
    let mut world = World::of(watched(&folder)).await;
    assert_eq!(world.name().as_deref(), Some("One"));
    let turn = |to: &str| {
        symlink(to, at("next")).unwrap();
        fs::rename(at("next"), at("models")).unwrap();
    };
    turn("two");
    assert_eq!(world.wait_for(Some("Two")).await.changed, key());
    // Now the other directory is followed, and the first one is not.
    write(&at("two").join("a.xml"), "Two again", "Integer");
    world.wait_for(Some("Two again")).await;
    turn("one");
    world.wait_for(Some("One")).await;
    world.server.shutdown().await;
}

/// As a Kubernetes volume does it: the files are links through a directory that is a link.
#[cfg(unix)]
#[tokio::test]
async fn a_mounted_configuration_is_swapped_at_once() {
    use std::os::unix::fs::symlink;

    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("models");
    let at = |name: &str| directory.join(name);
    for (revision, name) in [("..1", "One"), ("..2", "Two")] {
        fs::create_dir_all(at(revision)).unwrap();
        write(&at(revision).join("a.xml"), name, "Integer");
    }
    symlink("..1", at("..data")).unwrap();
    symlink("..data/a.xml", at("a.xml")).unwrap();
    let mut world = World::of(watched(&folder)).await;
    assert_eq!(world.name().as_deref(), Some("One"));
    symlink("..2", at("..data_tmp")).unwrap();
    fs::rename(at("..data_tmp"), at("..data")).unwrap();
    fs::remove_dir_all(at("..1")).unwrap();
    assert_eq!(world.wait_for(Some("Two")).await.changed, key());
    world.server.shutdown().await;
}

#[tokio::test]
async fn the_directory_may_come_and_go() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("models");
    let mut world = World::of(watched(&folder)).await;
    let code = |load: Arc<ModelsLoad>| load.outcome.as_ref().map_err(|reason| reason.code).err();
    let first = world.server.models_load().unwrap();
    assert_eq!(code(first), Some("models-missing"));
    for round in ["One", "Two"] {
        fs::create_dir(&directory).unwrap();
        write(&directory.join("a.xml"), round, "Integer");
        world.wait_for(Some(round)).await;
        fs::remove_dir_all(&directory).unwrap();
        // Its files may be seen to go first; what is there when it goes stays.
        while code(world.load().await) != Some("models-missing") {}
    }
    world.server.shutdown().await;
}

#[tokio::test]
async fn a_directory_that_is_made_anew_at_once_is_followed() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("models");
    fs::create_dir(&directory).unwrap();
    let mut world = World::of(watched(&folder)).await;
    for round in 0..30 {
        // The system may give the number of the one before to the new one.
        fs::remove_dir_all(&directory).unwrap();
        fs::create_dir(&directory).unwrap();
        for name in [format!("First {round}"), format!("Second {round}")] {
            write(&directory.join("a.xml"), &name, "Integer");
            let followed = tokio::time::timeout(PATIENCE, world.wait_for(Some(&name))).await;
            assert!(followed.is_ok(), "{name} is not seen");
        }
    }
    world.server.shutdown().await;
}

#[tokio::test]
async fn without_notifications_it_looks_again() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("models");
    let elsewhere = folder.path().join("elsewhere");
    fs::create_dir(&directory).unwrap();
    fs::create_dir(&elsewhere).unwrap();
    let target = elsewhere.join("a.xml");
    write(&target, "One", "Integer");
    // Nothing happens in the directory when the file behind the link is written.
    #[cfg(unix)]
    std::os::unix::fs::symlink(&target, directory.join("a.xml")).unwrap();
    #[cfg(not(unix))]
    let target = directory.join("a.xml");
    let look = watched(&folder).poll_interval(Duration::from_millis(20));
    let mut world = World::of(look).await;
    write(&target, "Another", "Integer");
    world.wait_for(Some("Another")).await;
    world.server.shutdown().await;
}

#[tokio::test]
async fn strictness_and_registry_are_the_embedders() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("models");
    fs::create_dir(&directory).unwrap();
    let unclear = definition("Gauge", "Integer").replace("<Mandatory>Optional", "<Mandatory>No");
    fs::write(directory.join("gauge.xml"), unclear).unwrap();
    let registry = Arc::new(Registry::embedded());
    let strict = watched(&folder)
        .registry(Arc::clone(&registry))
        .strictness(Strictness::Strict);
    let mut world = World::of(strict).await;
    assert_eq!(world.server.models_load().unwrap().errors(), 1);
    assert!(registry.object(OBJECT, None).is_none(), "refused as it is");
    write(&directory.join("gauge.xml"), "Gauge", "Integer");
    world.wait_for(Some("Gauge")).await;
    assert!(registry.object(OBJECT, None).is_some());
    world.server.shutdown().await;
}
