//! The strategies, and what comes of them on devices of all kinds.

use lwm2m_coap::Code;
use lwm2m_device::Quirks;
use lwm2m_server::observe::ObserveStrategy::{CompositeAll, CompositeByObject, Plugin, Single};
use lwm2m_server::observe::{ObserveRuleFault, ObserveStrategies};
use lwm2m_server::{Listener, Server, StartError};

use super::stand::{Stand, all, attributes, rule};
use crate::site::{V1_0, V1_1, V1_2, path};

const PATHS: &[&str] = &["/3303/1/5700", "/3303/0/5700", "/3/0/16"];

#[tokio::test]
async fn each_strategy_comes_to_its_observations() {
    for version in [V1_1, V1_2] {
        for (strategy, expected) in [
            (Single, &["/3/0/16*", "/3303/0/5700*", "/3303/1/5700*"][..]),
            (CompositeAll, &["[/3/0/16 /3303/0/5700 /3303/1/5700]*"]),
            (
                CompositeByObject,
                &["[/3/0/16]*", "[/3303/0/5700 /3303/1/5700]*"],
            ),
        ] {
            let mut stand = Stand::new(all(strategy, PATHS), version).await;
            assert_eq!(
                stand.planned().await,
                (Some("configuration".to_owned()), vec![])
            );
            assert_eq!(stand.established().await, (expected.len(), 0, 0));
            assert_eq!(stand.standing().await, expected, "{strategy} {version}");
        }
    }
}

#[tokio::test]
async fn without_a_rule_or_with_plugin_nothing_is_observed() {
    let others = rule(Single, PATHS).endpoint("meter-*".parse().expect("a pattern"));
    let plugin = ObserveStrategies::default()
        .rule(rule(Plugin, &[]).endpoint("a".parse().expect("a pattern")))
        .rule(rule(Single, PATHS));
    for strategies in [ObserveStrategies::default().rule(others), plugin] {
        let mut stand = Stand::new(strategies, V1_1).await;
        stand.device.wait_registered().await.expect("accepted");
        // What is asked of the device afterwards comes after what would have been observed.
        stand
            .server
            .set_observe_strategies(all(Single, &["/3/0/16"]))
            .expect("taken");
        assert_eq!(stand.established().await, (1, 0, 0));
        assert_eq!(stand.done(), ["+/3/0/16"]);
    }
}

#[tokio::test]
async fn attributes_are_written_before() {
    let strategies = ObserveStrategies::default().rule(
        rule(CompositeByObject, PATHS)
            .attributes(path("/3303/0/5700"), attributes("pmin=1&pmax=60&gt=30"))
            .attributes(path("/3/0/16"), attributes("pmin=5")),
    );
    let mut stand = Stand::new(strategies, V1_1).await;
    assert_eq!(stand.established().await, (2, 0, 0));
    let expected = [
        "/3303/0/5700 2.04",
        "+/3303/0/5700 /3303/1/5700",
        "/3/0/16 2.04",
        "+/3/0/16",
    ];
    assert_eq!(stand.done(), expected);
}

#[tokio::test]
async fn attributes_that_are_refused_are_told_and_the_path_is_observed() {
    // 1.0 has no evaluation period.
    let strategies = ObserveStrategies::default()
        .rule(rule(Single, &["/3/0/16"]).attributes(path("/3/0/16"), attributes("epmin=5")));
    let mut stand = Stand::new(strategies, V1_0).await;
    assert_eq!(
        stand.failure().await,
        ("write-attributes", None, "attributes-refused")
    );
    assert_eq!(stand.established().await, (1, 0, 0));
    assert_eq!(stand.standing().await, ["/3/0/16*"]);
}

#[tokio::test]
async fn a_device_without_composites_is_observed_path_by_path() {
    let singles = ["/3/0/16*", "/3303/0/5700*", "/3303/1/5700*"];
    let mut old = Stand::new(all(CompositeAll, PATHS), V1_0).await;
    assert_eq!(
        old.failure().await,
        ("observe-composite", None, "composite-unsupported")
    );
    assert_eq!(old.established().await, (3, 0, 0));
    assert_eq!(old.standing().await, singles);

    let mut quirks = Quirks::default();
    quirks.composite_refused = true;
    let strategies = all(CompositeByObject, PATHS);
    let mut refusing = Stand::of(
        |server| server.observe(strategies),
        V1_1,
        |device| device.quirks(quirks),
    )
    .await;
    let refused = (
        "observe-composite",
        Some(Code::METHOD_NOT_ALLOWED),
        "composite-unsupported",
    );
    assert_eq!(refusing.failure().await, refused);
    assert_eq!(refusing.established().await, (3, 0, 0));
    assert_eq!(refusing.standing().await, singles);
    // It is remembered, for as long as the registration lasts.
    refusing
        .server
        .set_observe_strategies(all(CompositeAll, &PATHS[..2]))
        .expect("taken");
    assert_eq!(refusing.established().await, (0, 1, 0));
    assert_eq!(refusing.done().last().map(String::as_str), Some("-/3/0/16"));
}

#[tokio::test]
async fn what_is_not_registered_is_left_out_and_told() {
    let paths = ["/3303/0/5700", "/3303/7/5700", "/6/0/0", "/5"];
    let mut stand = Stand::new(all(CompositeAll, &paths), V1_1).await;
    let left_out = ["/5", "/6/0/0", "/3303/7/5700"].map(str::to_owned).to_vec();
    assert_eq!(stand.planned().await.1, left_out);
    assert_eq!(stand.established().await, (1, 0, 0));
    assert_eq!(stand.standing().await, ["[/3303/0/5700]*"]);
}

#[tokio::test]
async fn strategies_are_taken_as_a_whole_or_not_at_all() {
    let bad = all(Single, &["/3/0/16"]).rule(rule(Single, &["/3"]));
    let started = Server::builder()
        .listen(Listener::coap(([127, 0, 0, 1], 0).into()))
        .observe(bad.clone())
        .start()
        .await;
    assert!(matches!(started, Err(StartError::Observe(_))));
    let mut stand = Stand::new(all(Single, &["/3/0/16"]), V1_1).await;
    assert_eq!(stand.established().await, (1, 0, 0));
    let refused = stand
        .server
        .set_observe_strategies(bad)
        .expect_err("the second rule");
    assert_eq!(
        (refused.rule, refused.fault),
        (2, ObserveRuleFault::NeverReached(1))
    );
    assert_eq!(
        *stand.server.observe_strategies(),
        all(Single, &["/3/0/16"])
    );
    assert_eq!(stand.standing().await, ["/3/0/16*"]);
}

#[tokio::test]
async fn one_path_more_than_the_limit_is_refused() {
    let start = async |paths: &[&str]| {
        let mut config = lwm2m_server::ServerConfig::default();
        config.limits.observe_targets_max = 2;
        let server = Server::builder()
            .config(config)
            .listen(Listener::coap(([127, 0, 0, 1], 0).into()))
            .observe(all(Single, paths));
        server.start().await.err().map(|error| error.to_string())
    };
    assert_eq!(start(&PATHS[..2]).await, None);
    let error = start(PATHS).await.expect("three paths");
    assert!(error.contains("more than 2 paths"), "{error}");
}
