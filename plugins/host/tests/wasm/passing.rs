//! Calls that are carried out on the thread that asks, and those that go elsewhere.

use lwm2m_server::{Hook, Interceptor};

use super::contained::logged;
use super::guest::{DATA, FOR_EVER, Guest};
use super::*;

/// Says "here" to the log.
fn says() -> String {
    let at = DATA + 8;
    format!("(call $log (i32.const 2) (i32.const {at}) (i32.const 4) (i32.const 0) (i32.const 0))")
}

/// A component that does something, and says where it is.
fn registers(body: &str) -> Guest {
    let body = format!("{body} {} (i32.const 512)", says());
    let guest = Guest::of("registration-plugin").does("on-register", body);
    guest.imports(&["$log"]).data(*b"n       here")
}

/// A plugin of this name, with time enough on a busy machine.
async fn hosted(name: &str, guest: &Guest, settings: &str) -> Hosted {
    let settings = format!("{settings}\n[[plugin]]\nname = '{name}'\n{PATIENT}");
    Hosted::new(&[(name, guest.build())], &settings).await
}

/// True when the plugin of this name was last heard of on a thread that asks.
async fn was_here(hosted: &Hosted, name: &str, registration: &Arc<Registration>) -> bool {
    let log = logged();
    hosted.host.on_register(registration).await;
    let lines = log.lock().expect("not poisoned");
    let of_it = |line: &&String| line.contains(name) && line.contains("here");
    let last = lines.iter().rfind(of_it).expect("it says where it is");
    !last.starts_with("[lwm2m-plugins]")
}

#[tokio::test]
async fn what_is_quick_is_answered_where_it_is_asked() {
    let hosted = hosted("quick", &registers(""), "").await;
    // Where the system gives the thread to others in the middle of it, it goes on elsewhere.
    for _ in 0..1000 {
        if was_here(&hosted, "quick", &registration()).await {
            return;
        }
    }
    panic!("it is never here");
}

#[tokio::test]
async fn without_an_allowance_it_stays_with_the_workers() {
    let settings = format!("[[plugin]]\nname = 'away'\nlimits = {{ shard_us_max = 0 }}\n{PATIENT}");
    let hosted = Hosted::new(&[("away", registers("").build())], &settings).await;
    for _ in 0..10 {
        assert!(!was_here(&hosted, "away", &registration()).await);
    }
}

#[tokio::test]
async fn a_call_that_needs_a_fresh_instance_goes_elsewhere() {
    let settings =
        format!("[[plugin]]\nname = 'once'\nlimits = {{ recycle_after = 1 }}\n{PATIENT}");
    let hosted = Hosted::new(&[("once", registers("").build())], &settings).await;
    hosted.on_register().await;
    for _ in 0..10 {
        assert!(!was_here(&hosted, "once", &registration()).await);
    }
}

#[tokio::test]
async fn a_disk_is_not_waited_for_where_it_is_asked() {
    let increment = format!(
        "(call $increment (i32.const 0) (i32.const {DATA}) (i32.const 1) (i64.const 1)
           (i32.const 2048))"
    );
    let guest = registers(&increment).imports(&["$increment"]);
    let state = TempDir::new().expect("a folder");
    let settings = format!("state = '{}'", state.path().display());
    let hosted = hosted("keeps", &guest, &settings).await;
    for _ in 0..10 {
        assert!(!was_here(&hosted, "keeps", &registration()).await);
    }
}

#[tokio::test]
async fn one_that_loops_is_asked_elsewhere_from_then_on() {
    // The object of the first link, its upper half, says whether it loops.
    let body = format!(
        "(if (i32.eq (i32.load16_u offset=2 (i32.load offset=104 (local.get $0))) (i32.const 1))
           (then {FOR_EVER}))"
    );
    let settings = "[[plugin]]\nname = 'loops'\ntimeout_ms = { on_register = 500 }\nfail = 'open'
        breaker = { failures = 0 }";
    let hosted = Hosted::new(&[("loops", registers(&body).build())], settings).await;
    let mut harmless = Registration::clone(&registration());
    harmless.objects = Arc::new(ObjectList::parse(b"</3/0>").expect("links"));
    let harmless = Arc::new(harmless);
    // A thread that others hold meanwhile does not count, so it may take more than two.
    for _ in 0..50 {
        hosted.on_register().await;
        let figures = &hosted.host.list()[0].figures;
        let asked = figures.iter().find(|of| of.hook == Hook::OnRegister);
        assert!(asked.is_some_and(|of| !of.failures.is_empty()), "it loops");
        let mut is_here = false;
        for _ in 0..10 {
            is_here |= was_here(&hosted, "loops", &harmless).await;
        }
        if !is_here {
            return;
        }
    }
    panic!("it is still asked where it is in the way");
}
