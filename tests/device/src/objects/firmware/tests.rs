use super::*;

fn context() -> Context {
    Context::new(Instant::now())
}

fn write(firmware: &mut Firmware, resource: u16, value: Value<'static>) -> Result<(), Refusal> {
    let value = ResourceValue::Single(value);
    firmware.check(0, resource, &value)?;
    firmware.store.set(0, resource, value);
    firmware.written(0, resource, &mut context());
    Ok(())
}

fn status(firmware: &Firmware) -> (i64, i64) {
    let result = firmware.store.integer(0, RESULT).unwrap();
    (firmware.state(), result)
}

fn opaque(bytes: &[u8]) -> Value<'static> {
    Value::from(bytes.to_vec())
}

#[test]
fn push_install_and_report() {
    let mut firmware = Firmware::new("1.0.9");
    write(&mut firmware, PACKAGE, opaque(b"image")).unwrap();
    assert_eq!(status(&firmware), (DOWNLOADED, 0));
    assert_eq!(
        firmware.store.value(0, PACKAGE),
        None,
        "the image is not kept"
    );

    let mut context = context();
    let none = ExecuteArguments::default();
    firmware.execute(0, UPDATE, &none, &mut context).unwrap();
    assert_eq!(status(&firmware), (UPDATING, 0));
    assert_eq!(
        firmware.deadline(),
        Some(context.now + Duration::from_secs(1))
    );

    firmware.elapsed(&mut context);
    assert_eq!(status(&firmware), (IDLE, 1));
    let version = Effect::Set(Path::resource(3, 0, 3), Value::from("1.0.10"));
    assert_eq!(context.into_effects(), [version, Effect::Reboot]);
}

#[test]
fn update_is_refused_outside_downloaded() {
    let mut firmware = Firmware::new("1.0.0");
    let none = ExecuteArguments::default();
    let refused = firmware.execute(0, UPDATE, &none, &mut context());
    assert_eq!(
        refused.unwrap_err().code,
        lwm2m_coap::Code::METHOD_NOT_ALLOWED
    );
    assert_eq!(status(&firmware), (IDLE, 0));
}

#[test]
fn zero_byte_and_empty_uri_reset() {
    let mut firmware = Firmware::new("1.0.0");
    write(&mut firmware, PACKAGE, opaque(b"image")).unwrap();
    assert!(write(&mut firmware, PACKAGE, opaque(b"other")).is_err());
    write(&mut firmware, PACKAGE, opaque(&[0])).unwrap();
    assert_eq!(status(&firmware), (IDLE, 0));
    write(&mut firmware, PACKAGE, opaque(b"image")).unwrap();
    write(&mut firmware, PACKAGE_URI, Value::from("")).unwrap();
    assert_eq!(status(&firmware), (IDLE, 0));
}

#[test]
fn pull_asks_for_a_download_and_reports_its_end() {
    for (result, expected) in [
        (Ok(&b"version=3.1.4\nimage"[..]), (DOWNLOADED, 0)),
        (Err(DownloadError::Scheme), (IDLE, 9)),
        (Err(DownloadError::Uri), (IDLE, 7)),
        (
            Err(DownloadError::Transfer(lwm2m_coap::Failure::NoResponse)),
            (IDLE, 4),
        ),
    ] {
        let mut firmware = Firmware::new("1.0.0");
        let uri = "coap://192.0.2.1/fw";
        firmware.store.set(0, PACKAGE_URI, uri);
        let mut context = context();
        firmware.written(0, PACKAGE_URI, &mut context);
        assert_eq!(status(&firmware), (DOWNLOADING, 0));
        firmware.downloaded(result, &mut context);
        assert_eq!(status(&firmware), expected);
        assert_eq!(context.into_effects(), [Effect::Download(uri.to_owned())]);
        if result.is_ok() {
            assert_eq!(firmware.store.text(0, PACKAGE_VERSION), Some("3.1.4"));
        }
    }
}

#[test]
fn faults_end_as_the_specification_says() {
    let mut firmware = Firmware::new("1.0.0").fault(FirmwareFault::Package(5));
    write(&mut firmware, PACKAGE, opaque(b"image")).unwrap();
    assert_eq!(status(&firmware), (IDLE, 5));

    let mut firmware = Firmware::new("1.0.0").fault(FirmwareFault::Install(8));
    write(&mut firmware, PACKAGE, opaque(b"image")).unwrap();
    let mut context = context();
    let none = ExecuteArguments::default();
    firmware.execute(0, UPDATE, &none, &mut context).unwrap();
    assert!(
        write(&mut firmware, PACKAGE, opaque(&[0])).is_err(),
        "updating"
    );
    firmware.elapsed(&mut context);
    assert_eq!(status(&firmware), (DOWNLOADED, 8));
}

#[test]
fn cancel_leaves_result_10() {
    let mut firmware = Firmware::new("1.0.0");
    write(&mut firmware, PACKAGE, opaque(b"image")).unwrap();
    let none = ExecuteArguments::default();
    firmware.execute(0, CANCEL, &none, &mut context()).unwrap();
    assert_eq!(status(&firmware), (IDLE, 10));
}

#[test]
fn versions_count_on() {
    assert_eq!(successor("1.0.9"), "1.0.10");
    assert_eq!(successor("v"), "v.1");
    assert_eq!(successor(""), ".1");
    assert_eq!(version_line(b"version=\n"), None);
}
