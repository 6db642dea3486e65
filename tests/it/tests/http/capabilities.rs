//! What the server says of itself.

use crate::http::api::Api;
use crate::secure::{KEY, psk, server_with};

#[tokio::test]
async fn a_server_tells_what_it_can_do() {
    let configure = |config: &mut lwm2m_server::ServerConfig| {
        config.dtls.cid = false;
        config.dtls.limits.sessions_max = 77;
        config.dtls.suites.truncate(4);
    };
    let (server, _store) = server_with(configure, vec![psk("a", b"urn:a", KEY)]).await;
    let api = Api::of(&server).await;
    let told = api.get("/api/v1/capabilities").await.ok();
    assert_eq!(told["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(
        told["lwm2m_versions"],
        serde_json::json!(["1.0", "1.1", "1.2"])
    );
    assert_eq!(told["bindings"], serde_json::json!(["U"]));
    assert_eq!(told["listeners"].as_array().expect("a list").len(), 2);
    assert_eq!(
        (&told["oscore"], &told["bootstrap"]),
        (&true.into(), &false.into())
    );
    assert!(told.get("tls").is_none());
    let dtls = &told["dtls"];
    assert_eq!(dtls["backend"], "lwm2m-dtls");
    assert_eq!(dtls["modes"], serde_json::json!(["psk"]));
    assert_eq!(
        dtls["suites"],
        serde_json::json!(["TLS_PSK_WITH_AES_128_CCM_8"])
    );
    assert!(dtls.get("connection_id_bytes").is_none());
    assert_eq!(
        (&dtls["resumption"], &dtls["sessions_max"]),
        (&true.into(), &77.into())
    );
    let wrong = api.get("/api/v1/capabilities?all=1").await;
    assert_eq!(wrong.status, 400);
}
