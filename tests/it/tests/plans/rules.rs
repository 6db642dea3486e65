//! Rules that are set while the server runs.

use std::time::Duration;

use lwm2m_server::observe::ObserveStrategy::{CompositeAll, Plugin, Single};
use lwm2m_server::observe::{ObserveRule, ObserveRuleChange, ObserveRuleError, ObserveRuleSource};
use lwm2m_server::{EventKind, ServerBuilder};

use super::stand::{Stand, all, rule};
use crate::site::V1_1;

const PATHS: &[&str] = &["/3/0/16", "/3303/0/5700"];

fn for_a(rule: ObserveRule) -> ObserveRule {
    rule.endpoint("a".parse().expect("a pattern"))
}

async fn change(stand: &Stand, change: ObserveRuleChange) {
    let changed = stand.server.change_observe_rules(change).await;
    changed.expect("taken");
}

#[tokio::test]
async fn a_rule_that_is_set_counts_before_the_configuration_and_changes_what_differs() {
    let mut stand = Stand::new(all(Single, PATHS), V1_1).await;
    assert_eq!(stand.established().await, (2, 0, 0));
    let kept = stand.observations().await[0].id;
    stand.done();
    let more = for_a(rule(Single, &["/3/0/16", "/3303/1/5700"]));
    change(&stand, ObserveRuleChange::Set(more)).await;
    let told = stand.event(|event| match &event.kind {
        EventKind::ObserveRules { source, outcome } => Some((*source, outcome.clone())),
        _ => None,
    });
    assert_eq!(told.await, (ObserveRuleSource::Operator, Ok(1)));
    assert_eq!(stand.established().await, (1, 1, 0));
    assert_eq!(stand.done(), ["-/3303/0/5700", "+/3303/1/5700"]);
    assert_eq!(stand.observations().await[0].id, kept);
    // The configuration may say what it wants: it does not count for this device.
    stand
        .server
        .set_observe_strategies(all(CompositeAll, PATHS))
        .expect("taken");
    let quiet = for_a(ObserveRule::new(Plugin));
    change(&stand, ObserveRuleChange::Set(quiet)).await;
    assert_eq!(stand.established().await, (0, 2, 0));
    assert!(stand.standing().await.is_empty());
    let name = || "a".parse().expect("a pattern");
    change(&stand, ObserveRuleChange::Remove(name())).await;
    assert_eq!(stand.established().await, (1, 0, 0));
    assert_eq!(stand.standing().await, ["[/3/0/16 /3303/0/5700]*"]);
    let again = stand
        .server
        .change_observe_rules(ObserveRuleChange::Remove(name()))
        .await;
    assert_eq!(again, Err(ObserveRuleError::NotFound("a".to_owned())));
}

#[tokio::test]
async fn rules_that_are_set_are_kept_in_their_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("observe.toml");
    let configure = |server: ServerBuilder| {
        let server = server.observe(all(Single, PATHS));
        server.observe_rules_file(&file)
    };
    let mut stand = Stand::of(configure, V1_1, |device| device).await;
    assert_eq!(stand.established().await, (2, 0, 0));
    let composite = for_a(rule(CompositeAll, PATHS));
    change(&stand, ObserveRuleChange::Set(composite)).await;
    assert_eq!(stand.established().await, (1, 2, 0));
    let rules = stand.server.observe_rules();
    stand.server.shutdown().await;
    let mut stand = Stand::of(configure, V1_1, |device| device).await;
    assert_eq!(stand.established().await, (1, 0, 0));
    assert_eq!(stand.server.observe_rules(), rules);
    // What cannot be kept is not taken.
    std::fs::remove_dir_all(folder.path()).expect("removed");
    let refused = stand
        .server
        .change_observe_rules(ObserveRuleChange::Replace(Vec::new()))
        .await;
    assert!(matches!(refused, Err(ObserveRuleError::Unavailable(_))));
    assert_eq!(stand.server.observe_rules(), rules);
}

/// The next thing that is told of rules: how many were set, or the stable word and what is wrong.
async fn told(stand: &mut Stand) -> Result<usize, (&'static str, String)> {
    let told = stand.event(|event| match &event.kind {
        EventKind::ObserveRules { source, outcome } => Some((*source, outcome.clone())),
        _ => None,
    });
    let (source, outcome) = told.await;
    assert_eq!(source, ObserveRuleSource::Operator);
    outcome.map_err(|reason| {
        assert!(reason.hint.is_some(), "{reason:?}");
        (reason.code, reason.message.to_string())
    })
}

#[tokio::test]
async fn a_file_of_rules_that_is_edited_counts_at_once_and_what_the_server_writes_is_no_edit() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("observe.toml");
    let configure = |server: ServerBuilder| server.observe_rules_file(&file);
    let mut stand = Stand::of(configure, V1_1, |device| device).await;
    let server = stand.server.clone();
    let following = async move { server.follow_observe_rules(Duration::from_millis(1)).await };
    let following = tokio::spawn(following);
    change(&stand, ObserveRuleChange::Set(for_a(rule(Single, PATHS)))).await;
    assert_eq!(told(&mut stand).await, Ok(1));
    assert_eq!(stand.established().await, (2, 0, 0));
    stand.done();
    let written = std::fs::read_to_string(&file).expect("written");
    // By hand: what follows is told of the edit, so nothing was told of what the server wrote.
    let edited = written.replace("\"SINGLE\"", "\"COMPOSITE_ALL\"");
    let two = "[[observe.rule]]\nendpoint = \"b\"\nstrategy = \"plugin\"\n";
    std::fs::write(&file, format!("{edited}{two}")).expect("written");
    assert_eq!(told(&mut stand).await, Ok(2));
    assert_eq!(stand.established().await, (1, 2, 0));
    assert_eq!(stand.standing().await, ["[/3/0/16 /3303/0/5700]*"]);
    // Broken: told once, with its place, and nothing changes.
    let broken = edited.replace("/3/0/16", "/0/0");
    std::fs::write(&file, &broken).expect("written");
    let (word, message) = told(&mut stand).await.expect_err("broken");
    assert_eq!(word, "rules-file-unusable");
    for part in ["observe.toml", "line 8", "paths", "/0/0 is closed"] {
        assert!(message.contains(part), "{part}: {message}");
    }
    let refused = stand.server.refused_observe_rules_file();
    assert_eq!(refused.expect("it is kept").message, message);
    assert_eq!(stand.standing().await, ["[/3/0/16 /3303/0/5700]*"]);
    // What somebody is at work on is not written over.
    let set = ObserveRuleChange::Set(ObserveRule::new(Plugin));
    let error = stand.server.change_observe_rules(set).await;
    let error = error.expect_err("broken");
    assert!(
        matches!(error, ObserveRuleError::FileUnusable(_)),
        "{error:?}"
    );
    let text = std::fs::read_to_string(&file).expect("there");
    assert_eq!(text, broken);
    // Without the file there are no rules, as after a restart.
    std::fs::remove_file(&file).expect("removed");
    assert_eq!(told(&mut stand).await, Ok(0));
    assert!(stand.server.refused_observe_rules_file().is_none());
    assert_eq!(stand.established().await, (0, 1, 0));
    following.abort();
}

#[tokio::test]
async fn a_rule_that_is_set_beside_an_edit_does_not_undo_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("observe.toml");
    let configure = |server: ServerBuilder| server.observe_rules_file(&file);
    // Nobody follows the file.
    let stand = Stand::of(configure, V1_1, |device| device).await;
    let rule = |endpoint: &str| {
        let plugin = ObserveRule::new(Plugin);
        ObserveRuleChange::Set(plugin.endpoint(endpoint.parse().expect("a pattern")))
    };
    change(&stand, rule("b")).await;
    let text = std::fs::read_to_string(&file).expect("written");
    std::fs::write(&file, text.replace("\"b\"", "\"c\"")).expect("written");
    change(&stand, rule("d")).await;
    let names: Vec<String> = stand
        .server
        .observe_rules()
        .iter()
        .map(|(_, rule)| rule.endpoint.to_string())
        .collect();
    assert_eq!(names, ["d", "c"]);
}

#[tokio::test]
async fn a_file_of_rules_that_is_broken_is_said_at_the_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("observe.toml");
    let text = "[[observe.rule]]\nendpoint = \"a\"\nstrategy = \"SINGLE\"\npaths = [\"/0/0\"]\n";
    std::fs::write(&file, text).expect("written");
    let started = lwm2m_server::Server::builder()
        .listen(lwm2m_server::Listener::coap(([127, 0, 0, 1], 0).into()))
        .observe_rules_file(&file)
        .start()
        .await;
    let error = started.err().expect("broken").to_string();
    for part in ["observe.toml", "line 4", "/0/0 is closed"] {
        assert!(error.contains(part), "{part}: {error}");
    }
}
