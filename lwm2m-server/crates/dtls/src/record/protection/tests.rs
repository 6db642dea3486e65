use super::*;

const SUITES: [CipherSuite; 3] = [
    CipherSuite::PskCcm8,
    CipherSuite::PskCcm,
    CipherSuite::PskGcm,
];

/// Both ends of a session: the client's and the server's.
fn ends(suite: CipherSuite, cid: bool) -> (Protection, Protection) {
    let master = MasterSecret::from_bytes([3; 48]);
    let keys = KeyBlock::derive(&master, &[1; 32], &[2; 32]);
    let own = cid.then(|| Cid::new(1, 2, 3, [4, 5]));
    let peer = own.and_then(|cid| PeerCid::new(cid.as_bytes()));
    let server = Protection::new(suite, keys.clone(), Sender::Server, own, None);
    (
        Protection::new(suite, keys, Sender::Client, None, peer),
        server,
    )
}

fn open(protection: &mut Protection, record: &[u8]) -> Option<(ContentType, Vec<u8>)> {
    let header = Header::parse(record)?;
    let mut fragment = record[header.bytes..header.bytes + header.length].to_vec();
    let opened = protection.open(&header, &mut fragment)?;
    let content = fragment[opened.start..opened.end].to_vec();
    Some((opened.content_type, content))
}

#[test]
fn what_is_sealed_is_opened_once_and_only_unchanged() {
    for (suite, cid) in SUITES
        .into_iter()
        .flat_map(|suite| [(suite, false), (suite, true)])
    {
        let (mut client, mut server) = ends(suite, cid);
        for length in [0, 1, 15, 16, 17, 300] {
            let plain = vec![7; length];
            let mut record = Vec::new();
            assert!(client.seal(&mut record, ContentType::ApplicationData, &plain));
            assert_eq!(record.len(), length + client.overhead());
            for at in 0..record.len() {
                let mut changed = record.clone();
                changed[at] ^= 0x10;
                assert_eq!(open(&mut server, &changed), None, "{suite} {at}");
            }
            let expected = Some((ContentType::ApplicationData, plain));
            assert_eq!(open(&mut server, &record), expected, "{suite}");
            assert_eq!(open(&mut server, &record), None, "a replay");
        }
    }
}

#[test]
fn a_record_has_the_nonce_and_the_additional_data_of_the_rfcs() {
    // By hand, with the cipher alone: RFC 6655 §3 and RFC 6347 §4.1.2.1.
    let (mut client, _) = ends(CipherSuite::PskCcm8, false);
    let mut record = Vec::new();
    assert!(client.seal(&mut record, ContentType::Alert, &[1, 0]));
    let number = [0, 1, 0, 0, 0, 0, 0, 0];
    let header = [&[21, 0xfe, 0xfd][..], &number, &[0, 8 + 2 + 8], &number].concat();
    assert_eq!(record[..21], header);
    let mut nonce = [0; 12];
    nonce[..4].copy_from_slice(&client.write.iv);
    nonce[4..].copy_from_slice(&number);
    let aad = [&number[..], &[21, 0xfe, 0xfd, 0, 2]].concat();
    let mut body = record[21..23].to_vec();
    let tag: [u8; 8] = record[23..].try_into().expect("a tag of 8 bytes");
    let cipher = Ccm8::new((&client.write.key).into());
    let body_out = (&mut body[..]).into();
    let opened = cipher.decrypt_inout_detached(&nonce.into(), &aad, body_out, &tag.into());
    assert!(opened.is_ok());
    assert_eq!(body, [1, 0]);

    // With a Connection ID, RFC 9146 §5.3.
    let (mut client, _) = ends(CipherSuite::PskCcm8, true);
    let mut record = Vec::new();
    assert!(client.seal(&mut record, ContentType::Alert, &[1, 0]));
    let cid = [1, 0, 0, 2, 0, 3, 4, 5];
    let header = [
        &[25, 0xfe, 0xfd][..],
        &number,
        &cid,
        &[0, 8 + 3 + 8],
        &number,
    ]
    .concat();
    assert_eq!(record[..29], header);
    let aad = [
        &[0xff; 8][..],
        &[25, 8, 25, 0xfe, 0xfd],
        &number,
        &cid,
        &[0, 3],
    ]
    .concat();
    let mut body = record[29..32].to_vec();
    let tag: [u8; 8] = record[32..].try_into().expect("a tag of 8 bytes");
    let body_out = (&mut body[..]).into();
    let opened = cipher.decrypt_inout_detached(&nonce.into(), &aad, body_out, &tag.into());
    assert!(opened.is_ok());
    assert_eq!(body, [1, 0, 21]);
}

#[test]
fn the_last_number_is_not_passed() {
    let (mut client, _) = ends(CipherSuite::PskCcm8, false);
    client.sequence = SEQUENCE_MAX;
    let mut record = Vec::new();
    assert!(client.seal(&mut record, ContentType::ApplicationData, b"last"));
    assert!(!client.seal(&mut record, ContentType::ApplicationData, b"none"));
}

#[test]
fn an_imported_protection_jumps_ahead_and_knows_what_came() {
    let (mut client, mut server) = ends(CipherSuite::PskCcm8, true);
    let mut seen = Vec::new();
    assert!(client.seal(&mut seen, ContentType::ApplicationData, b"seen"));
    assert!(open(&mut server, &seen).is_some());
    let mut bytes = Vec::new();
    server.write_to(&mut bytes);
    let mut reader = Reader::new(&bytes);
    let restored = Protection::read_from(&mut reader, CipherSuite::PskCcm8);
    let mut restored = reader.end(restored.expect("readable")).expect("to the end");
    assert_eq!(restored.sequence, server.sequence + Protection::JUMP);
    assert_eq!(open(&mut restored, &seen), None, "a replay");
    let mut next = Vec::new();
    assert!(client.seal(&mut next, ContentType::ApplicationData, b"next"));
    assert!(open(&mut restored, &next).is_some());
}
