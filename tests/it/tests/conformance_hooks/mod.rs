//! The hooks, case by case, whoever implements them.
//!
//! A [`Case`] says what an interceptor does, in words, and what must come of it at the server: a
//! table of steps. A [`Subject`] puts an implementation of that behaviour into a server. The same
//! cases run for each subject; what differs between languages is a fault of one of them.

mod cases;
mod component;
mod native;
mod plugin;
mod script;
mod stage;

use lwm2m_coap::Code;
use lwm2m_server::{Hook, Interceptor, ServerBuilder};

use native::Native;
use stage::Stage;

/// Implements the behaviours of the cases.
pub(crate) trait Subject {
    /// What it is called when a case fails.
    fn name(&self) -> &str;

    /// Adds an interceptor that does what a case says, as the first of the chain.
    async fn install(&self, builder: ServerBuilder, case: &Case) -> Installed;
}

/// A server to be, with the interceptor of a case.
pub(crate) struct Installed {
    pub(crate) builder: ServerBuilder,
    /// The same one, or one like it, for what the server does not ask yet.
    pub(crate) interceptor: Box<dyn Interceptor>,
    /// Where it came from; it stays as long as the server runs.
    pub(crate) folder: Option<tempfile::TempDir>,
}

/// One behaviour, and what comes of it.
pub(crate) struct Case {
    /// By which a subject knows it.
    pub(crate) name: &'static str,
    /// The hook that the interceptor has; at others it has no opinion.
    pub(crate) hook: Hook,
    /// What the interceptor does.
    pub(crate) behaviour: &'static str,
    /// What is done, and what must come of it.
    pub(crate) steps: &'static [Step],
}

/// What is done, or must come of it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Step {
    /// The device `a` registers with this query behind `ep=a&lwm2m=1.1`, and is answered.
    Register(&'static str, Code),
    /// It updates with this query and these objects, if any, and is answered.
    Update(&'static str, &'static str, Code),
    /// It de-registers.
    Deregister,
    /// It sends /3/0/9 with this value, and is told 2.04.
    Send(i64),
    /// /3/0/9 is observed; the first value is this one.
    Observe(i64),
    /// It notifies /3/0/9.
    Notify(i64),
    /// /3/0/9 is read; the device says the first, who asked gets the others.
    Read(i64, &'static [i64]),
    /// How an image of this version gets to `a` is asked, as firmware updates will.
    Select(&'static str, &'static str),
    /// Something happens in the delivery that was selected, and the next step is asked for.
    Drive(Happened, &'static str),
    /// The device `a` asks the bootstrap server with this query behind `ep=a`, and is answered.
    Bootstrap(&'static str, Code),
    /// The bootstrap server asks it, by this method and path, with this SenML JSON, if any.
    Provisioned(Code, &'static str, &'static str),
    /// It sends the Bootstrap-Finish.
    Finished,
    /// A device opens a session with this identity and the key of the suite; it works, or not.
    Connect(&'static str, bool),
    /// The server writes these attributes at a path by itself.
    Attributes(&'static str, &'static str),
    /// The server observes a path by itself; this is its value.
    Observed(&'static str, i64),
    /// The server observes a path by itself, and the device refuses with this code.
    ObserveRefused(&'static str, Code),
    /// The observations of plans that stand are of these paths.
    Planned(&'static [&'static str]),
    /// The registration of `a` has exactly these annotations.
    Annotations(&'static [(&'static str, &'static str)]),
    /// Its lifetime is so long, in seconds.
    Lifetime(u32),
    /// There is no registration of `a`.
    NotRegistered,
    /// The next refusal has this code, and this text in its reason.
    Refused(Code, &'static str),
    /// The next values that are told of are these.
    Values(&'static [i64]),
    /// The next series that is told of: name, unit, value.
    Series(&'static str, &'static str, i64),
    /// The next document that is told of: content type and body.
    Document(&'static str, &'static str),
    /// The next thing that an extension publishes: what it is about, and JSON.
    Published(&'static str, &'static str),
    /// The next failure of an extension that is told of is at the hook of the case.
    Failed,
}

/// What happens in a delivery.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Happened {
    Started,
    /// Both actions were carried out.
    Done,
    Timer,
    Cancelled,
}

/// Runs all cases, one server for each.
async fn conform(subject: &impl Subject) {
    for case in cases::CASES {
        let mut stage = Stage::set(subject, case).await;
        for (number, step) in case.steps.iter().enumerate() {
            let what = format!(
                "{} as {}: step {number}, {step:?}; it {}",
                case.name,
                subject.name(),
                case.behaviour
            );
            stage.play(*step, &what).await;
        }
    }
}

#[test]
fn each_hook_has_cases_and_names_are_unique() {
    for hook in Hook::ALL {
        let has_cases = cases::CASES.iter().any(|case| case.hook == hook);
        assert!(has_cases, "{}", hook.name());
    }
    for (at, case) in cases::CASES.iter().enumerate() {
        let same = |other: &Case| other.name == case.name;
        assert!(!cases::CASES[..at].iter().any(same), "{}", case.name);
    }
}

#[tokio::test]
async fn native_interceptors_that_answer_at_once_conform() {
    conform(&Native { later: false }).await;
}

#[tokio::test]
async fn native_interceptors_that_answer_later_conform() {
    conform(&Native { later: true }).await;
}

#[tokio::test]
async fn scripts_conform() {
    conform(&script::Script).await;
}

#[tokio::test]
async fn components_of_webassembly_text_conform() {
    conform(&component::Text).await;
}

#[tokio::test]
async fn components_from_source_conform_where_they_can_be_built() {
    // Those of text above are run in either case.
    let built = tokio::task::spawn_blocking(crate::components::source::built);
    if let Some(component) = built.await.expect("it is built") {
        conform(&component::Source(component)).await;
    }
}
