//! Interceptors that plan, and repair what fails.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use lwm2m_coap::Code;
use lwm2m_core::Path;
use lwm2m_server::hooks::{Grouping, ObserveFailure, ObservePlan, ObserveTarget, Repair};
use lwm2m_server::observe::ObserveStrategy::Single;
use lwm2m_server::{
    Answer, EventKind, Hook, HookSet, Interceptor, Registration, ServerBuilder, ServerConfig,
};

use super::stand::{Stand, all};
use crate::site::{V1_1, path};

/// Plans the same for each device, and repairs in the same way.
struct Planner {
    plan: Arc<Mutex<Option<ObservePlan>>>,
    repair: Repair,
    asked: Arc<Mutex<Vec<Failed>>>,
}

/// What it was asked about.
type Failed = (Vec<Path>, ObserveFailure);

impl Planner {
    fn new(plan: Option<ObservePlan>, repair: Repair) -> Planner {
        Planner {
            plan: Arc::new(Mutex::new(plan)),
            repair,
            asked: Arc::default(),
        }
    }
}

impl Interceptor for Planner {
    fn hooks(&self) -> HookSet {
        [Hook::ObservePlan, Hook::ObserveFailed]
            .into_iter()
            .collect()
    }

    fn observe_plan(&self, registration: &Arc<Registration>) -> Answer<Option<ObservePlan>> {
        assert!(registration.id.0 != 0, "it stands");
        let plan = self.plan.lock().expect("no panic").clone();
        Answer::later(async { plan })
    }

    fn observe_failed(
        &self,
        _: &Arc<Registration>,
        _: &ObservePlan,
        paths: &[Path],
        failure: ObserveFailure,
    ) -> Answer<Repair> {
        let mut asked = self.asked.lock().expect("no panic");
        asked.push((paths.to_vec(), failure));
        Answer::Now(self.repair.clone())
    }
}

/// Is of no use.
struct Broken {
    panics: bool,
}

impl Interceptor for Broken {
    fn hooks(&self) -> HookSet {
        HookSet::EMPTY.with(Hook::ObservePlan)
    }

    fn observe_plan(&self, _: &Arc<Registration>) -> Answer<Option<ObservePlan>> {
        match self.panics {
            true => panic!("a bug in an extension"),
            false => Answer::later(std::future::pending()),
        }
    }
}

fn plan(grouping: Grouping, paths: &[&str]) -> ObservePlan {
    let target = |text: &&str| ObserveTarget {
        path: path(text),
        attributes: Default::default(),
    };
    ObservePlan {
        targets: paths.iter().map(target).collect(),
        grouping,
        ..ObservePlan::default()
    }
}

async fn stand(configure: impl FnOnce(ServerBuilder) -> ServerBuilder) -> Stand {
    Stand::of(configure, V1_1, |device| device).await
}

#[tokio::test]
async fn the_plan_of_an_interceptor_comes_before_the_strategies() {
    let planner = Planner::new(
        Some(plan(Grouping::CompositeAll, &["/3303/0/5700"])),
        Repair::Keep,
    );
    let opinion = Arc::clone(&planner.plan);
    let configure = |server: ServerBuilder| {
        server
            .observe(all(Single, &["/3/0/16"]))
            .intercept(Planner::new(None, Repair::Keep))
            .intercept(planner)
    };
    let mut stand = stand(configure).await;
    assert_eq!(stand.planned().await.0.as_deref(), Some("native"));
    assert_eq!(stand.established().await, (1, 0, 0));
    assert_eq!(stand.standing().await, ["[/3303/0/5700]*"]);
    // It has come to think otherwise.
    *opinion.lock().expect("no panic") = None;
    stand.server.plan_observations();
    assert_eq!(stand.planned().await.0.as_deref(), Some("configuration"));
    assert_eq!(stand.established().await, (1, 1, 0));
    assert_eq!(stand.standing().await, ["/3/0/16*"]);
}

#[tokio::test]
async fn an_interceptor_that_is_broken_leaves_it_to_the_strategies() {
    let configure = |server: ServerBuilder| {
        let mut config = ServerConfig::default();
        config.limits.hook_timeout = Duration::from_millis(100);
        config.limits.observe_targets_max = 2;
        let paths = ["/3303/0/5700", "/3303/1/5700", "/3303/0/5701"];
        server
            .config(config)
            .observe(all(Single, &["/3/0/16"]))
            .intercept(Broken { panics: true })
            .intercept(Broken { panics: false })
            .intercept(Planner::new(
                Some(plan(Grouping::Single, &paths)),
                Repair::Keep,
            ))
            .intercept(Planner::new(
                Some(plan(Grouping::Single, &["/"])),
                Repair::Keep,
            ))
    };
    let mut stand = stand(configure).await;
    for expected in [
        "extension-panicked",
        "extension-timeout",
        "observe-plan-unusable",
        "observe-plan-unusable",
    ] {
        let told = stand.event(|event| match &event.kind {
            EventKind::ExtensionFailed { hook, reason, .. } => {
                assert_eq!(*hook, Some("observe_plan"));
                Some(reason.code)
            }
            _ => None,
        });
        assert_eq!(told.await, expected);
    }
    assert_eq!(stand.established().await, (1, 0, 0));
    assert_eq!(stand.standing().await, ["/3/0/16*"]);
}

/// /3303/0/5605 can only be executed, and /3303/0/5704 is not there.
const PATHS: &[&str] = &["/3303/0/5605", "/3/0/16", "/3303/0/5704"];

#[tokio::test]
async fn what_fails_is_kept_until_the_next_registration() {
    let planner = Planner::new(Some(plan(Grouping::Single, PATHS)), Repair::Keep);
    let asked = Arc::clone(&planner.asked);
    let mut stand = stand(|server| server.intercept(planner)).await;
    for round in 0..2 {
        assert_eq!(stand.failure().await.0, "observe");
        let missing = ("observe", Some(Code::NOT_FOUND), "observe-refused");
        assert_eq!(stand.failure().await, missing);
        assert_eq!(stand.established().await, (1, 0, 2));
        assert_eq!(stand.standing().await, ["/3/0/16*"]);
        let asked = asked.lock().expect("no panic").clone();
        assert_eq!(asked.len(), 2 * (round + 1));
        let last = (vec![path("/3303/0/5704")], ObserveFailure::NotFound);
        assert_eq!(asked.last(), Some(&last));
        stand.device.reboot().await.expect("it runs");
    }
}

#[tokio::test]
async fn what_fails_can_leave_the_plan() {
    let planner = Planner::new(Some(plan(Grouping::Single, PATHS)), Repair::Drop);
    let asked = Arc::clone(&planner.asked);
    let mut stand = stand(|server| server.intercept(planner)).await;
    assert_eq!(stand.established().await, (1, 0, 2));
    // Nothing is asked again in this registration, whatever changes.
    let changed = stand.device.with(|client, now| {
        client.with_object(now, 3303, |object| object.store_mut().remove_instance(1))
    });
    assert_eq!(changed.await, Ok(Some(true)));
    stand.device.update().await.expect("it runs");
    stand
        .event(|event| {
            matches!(
                event.kind,
                EventKind::Updated {
                    objects_changed: true,
                    ..
                }
            )
            .then_some(())
        })
        .await;
    stand.device.reboot().await.expect("it runs");
    assert_eq!(stand.established().await, (1, 0, 2));
    assert_eq!(asked.lock().expect("no panic").len(), 4);
}

#[tokio::test]
async fn what_fails_can_be_replaced() {
    let other = plan(Grouping::CompositeAll, &["/3303/0/5700", "/3303/1/5700"]);
    let planner = Planner::new(Some(plan(Grouping::Single, PATHS)), Repair::Replace(other));
    let mut stand = stand(|server| server.intercept(planner)).await;
    // Both come to the same.
    assert_eq!(stand.established().await, (2, 0, 2));
    let expected = ["/3/0/16*", "[/3303/0/5700 /3303/1/5700]*"];
    assert_eq!(stand.standing().await, expected);
}

#[tokio::test]
async fn a_repair_that_fails_itself_is_repaired_so_often_as_the_limit_says() {
    // What takes the place of the group is the group.
    let again = plan(Grouping::Single, PATHS);
    let planner = Planner::new(Some(again.clone()), Repair::Replace(again));
    let asked = Arc::clone(&planner.asked);
    let configure = |server: ServerBuilder| {
        let mut config = ServerConfig::default();
        config.limits.observe_repairs_max = 3;
        server.config(config).intercept(planner)
    };
    let mut stand = stand(configure).await;
    let exhausted = stand.event(|event| match &event.kind {
        EventKind::ObserveFailed {
            operation: "repair",
            reason,
            ..
        } => Some(reason.code),
        _ => None,
    });
    assert_eq!(exhausted.await, "observe-repairs-exhausted");
    let (made, cancelled, failed) = stand.established().await;
    assert_eq!((made, cancelled), (1, 0));
    // Three repairs, and then each of the two once more.
    assert_eq!(failed, 5);
    assert_eq!(asked.lock().expect("no panic").len(), 5);
    assert_eq!(stand.standing().await, ["/3/0/16*"]);
}
