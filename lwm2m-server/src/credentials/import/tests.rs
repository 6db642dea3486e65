use proptest::prelude::*;

use super::*;

fn errors(text: &str, format: ImportFormat) -> Vec<String> {
    let errors = Import::read(text, format).expect_err(text);
    errors.iter().map(ToString::to_string).collect()
}

#[test]
fn json_and_csv_say_the_same() {
    let json = r#"[
        {"id":"a","identity":"a","key":"00ff","endpoints":["x","y|z"]},

        {"id":"b",
         "identity":"q\"[{","key":"01"}
    ]"#;
    let csv = "id,mode,identity,key,endpoints\n\
               # a comment\n\
               a, psk, a, 00ff, x\n\
               \n\
               \"b\",,\"q\"\"[{\",01,\n";
    let from_json = Import::read(json, ImportFormat::Json).expect("JSON");
    let from_csv = Import::read(csv, ImportFormat::Csv).expect("CSV");
    assert_eq!(from_json.lines, [2, 4]);
    assert_eq!(from_csv.lines, [3, 5]);
    assert_eq!(from_json.credentials[1], from_csv.credentials[1]);
    assert_eq!(
        from_json.credentials[0].proof,
        from_csv.credentials[0].proof
    );
    let wrapped = format!("\u{feff}{{\"credentials\": {json}}}");
    assert_eq!(Import::read(&wrapped, ImportFormat::Json), Ok(from_json));
}

#[test]
fn several_endpoint_names_stand_in_one_field_of_csv() {
    let import = Import::read("identity,key,endpoints\na,00,x|m-*\n", ImportFormat::Csv);
    let endpoints = &import.expect("CSV").credentials[0].endpoints;
    let endpoints: Vec<String> = endpoints.iter().map(ToString::to_string).collect();
    assert_eq!(endpoints, ["x", "m-*"]);
}

#[test]
fn nothing_is_nothing() {
    for format in [ImportFormat::Json, ImportFormat::Csv] {
        assert_eq!(Import::read("", format), Ok(Import::default()));
        assert_eq!(Import::read("\n", format), Ok(Import::default()));
    }
    assert_eq!(
        Import::read("[]", ImportFormat::Json),
        Ok(Import::default())
    );
    assert_eq!(
        Import::read("id,key\n", ImportFormat::Csv),
        Ok(Import::default())
    );
}

#[test]
fn every_error_has_its_line_and_its_field() {
    let csv = "identity,key\na,00\nb,zz\nc,\n,00\nd,00,x\n";
    assert_eq!(
        errors(csv, ImportFormat::Csv),
        ["line 6: it has 3 fields, and the head line names 2"]
    );
    let csv = "identity,key\na,00\nb,zz\nc,\n,00\n";
    assert_eq!(
        errors(csv, ImportFormat::Csv),
        [
            "line 3: key: use hexadecimal digits, two for each byte",
            "line 4: key: it is missing",
            "line 5: identity: it is missing",
        ]
    );
    let json = "[\n{\"identity\":\"a\",\"key\":\"00\"},\n{\"identity\":\"b\"}]";
    assert_eq!(
        errors(json, ImportFormat::Json),
        ["line 3: key: it is missing"]
    );
    let unknown = &errors("identity,kee\na,00\n", ImportFormat::Csv)[0];
    assert!(
        unknown.starts_with("line 2: unknown field `kee`"),
        "{unknown}"
    );
    let unknown = &errors("[\n{\"kee\":1}]", ImportFormat::Json)[0];
    assert!(
        unknown.starts_with("line 2: unknown field `kee`"),
        "{unknown}"
    );
    let list = &errors("[[\"a\",\"psk\"]]", ImportFormat::Json)[0];
    assert!(list.contains("no list"), "{list}");
    assert!(errors("{\"credentials\":[]", ImportFormat::Json)[0].starts_with("line 1: "));
}

#[test]
fn what_a_store_refuses_has_its_line() {
    let import = Import::read("id,identity,key\na,a,00\na,b,00\n", ImportFormat::Csv);
    let import = import.expect("each is sound");
    let error = CredentialError {
        field: "id",
        message: "taken".to_owned(),
    };
    let refused = import.refused(CredentialStoreError::Refused { index: 1, error });
    assert_eq!(refused.to_string(), "line 3: id: taken");
    let full = import.refused(CredentialStoreError::Full { max: 1 });
    assert_eq!(full.line, None);
}

#[test]
fn one_more_than_the_errors_that_are_told_is_not() {
    let csv = format!("identity,key\n{}", "a,zz\n".repeat(Import::ERRORS_MAX + 1));
    assert_eq!(errors(&csv, ImportFormat::Csv).len(), Import::ERRORS_MAX);
}

proptest! {
    #[test]
    fn never_panics(text in "[\\[\\]{}\",:\\\\\nabk#0-9-]{0,60}") {
        let _ = Import::read(&text, ImportFormat::Json);
        let _ = Import::read(&text, ImportFormat::Csv);
        let _ = Import::read(&format!("id,identity,key\n{text}"), ImportFormat::Csv);
    }
}
