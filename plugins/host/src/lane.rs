//! The line in which scripts wait for a thread, one for each plugin.
//!
//! ```text
//! push ─> line ─> runner: compute, keep the answer ─┬─> hand out: the line is empty, or it is time
//!                                                   └─> the next one
//! ```
//!
//! To wake a sleeping thread costs more than most calls. So a runner takes one call after the other
//! as long as there are any, and hands their answers out together, none later than [`KEPT_FOR`] or a
//! few operations of the script that runs then. There are no more runners for one plugin than leave a
//! thread to the others.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::{Failure, Reply};

/// A call that computes: it holds the thread on which it is polled.
pub(crate) type Work = Pin<Box<dyn Future<Output = Result<Reply, Failure>> + Send>>;

/// The line of one plugin.
#[derive(Default)]
pub(crate) struct Lane {
    line: Mutex<Line>,
}

#[derive(Default)]
struct Line {
    /// As many as may wait of the plugin.
    jobs: VecDeque<Job>,
    runners: usize,
}

struct Job {
    work: Work,
    asker: oneshot::Sender<Result<Reply, Failure>>,
}

/// For how long an answer is kept for others to go with it.
const KEPT_FOR: Duration = Duration::from_micros(250);

/// Answers that are kept.
const KEPT_MAX: usize = 32;

/// How long a runner goes on before others on its thread have their turn.
const TURN: Duration = Duration::from_millis(1);

thread_local! {
    /// The answers that the runner on this thread keeps, since when.
    static KEPT: RefCell<Kept> = const { RefCell::new(Kept { answers: Vec::new(), since: None }) };
}

struct Kept {
    answers: Vec<Answered>,
    since: Option<Instant>,
}

type Answered = (
    oneshot::Sender<Result<Reply, Failure>>,
    Result<Reply, Failure>,
);

impl Lane {
    /// Lines up a call, and has somebody run it unless enough do: at most `runners_max`.
    pub(crate) fn push(
        self: &Arc<Lane>,
        work: Work,
        runners_max: usize,
        workers: &Handle,
    ) -> oneshot::Receiver<Result<Reply, Failure>> {
        let (asker, answer) = oneshot::channel();
        let mut line = self.line();
        line.jobs.push_back(Job { work, asker });
        if line.runners < runners_max {
            line.runners += 1;
            drop(line);
            workers.spawn(Arc::clone(self).run());
        }
        answer
    }

    async fn run(self: Arc<Lane>) {
        let mut begun = Instant::now();
        while let Some(Job { work, asker }) = self.next() {
            let answer = work.await;
            let now = Instant::now();
            keep((asker, answer), now);
            let turn_is_over = now.duration_since(begun) > TURN;
            if turn_is_over || self.line().jobs.is_empty() {
                hand_out();
            }
            if turn_is_over {
                tokio::task::yield_now().await;
                begun = Instant::now();
            }
        }
    }

    /// The next call; none when the runner is done.
    fn next(&self) -> Option<Job> {
        let mut line = self.line();
        let job = line.jobs.pop_front();
        if job.is_none() {
            line.runners -= 1;
        }
        job
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Hands out what has been kept for long enough. A script that runs calls this now and then.
pub(crate) fn hand_out_in_time(now: Instant) {
    let is_time = |kept: &Kept| {
        let long = |since| now.duration_since(since) >= KEPT_FOR;
        kept.since.is_some_and(long) || kept.answers.len() >= KEPT_MAX
    };
    if KEPT.with_borrow(is_time) {
        hand_out();
    }
}

fn keep(answer: Answered, now: Instant) {
    KEPT.with_borrow_mut(|kept| {
        kept.answers.push(answer);
        kept.since.get_or_insert(now);
    });
    hand_out_in_time(now);
}

/// Hands out all that is kept. A script that is going to wait calls this.
pub(crate) fn hand_out() {
    let mut answers = KEPT.with_borrow_mut(|kept| {
        kept.since = None;
        std::mem::take(&mut kept.answers)
    });
    for (asker, answer) in answers.drain(..) {
        // It may have given up.
        let _ = asker.send(answer);
    }
    // With the room that it has.
    KEPT.with_borrow_mut(|kept| kept.answers = answers);
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    use super::*;

    fn workers() -> tokio::runtime::Runtime {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(3).build().expect("a runtime")
    }

    #[test]
    fn all_are_answered_and_only_so_many_run_at_once() {
        let workers = workers();
        let lane = Arc::<Lane>::default();
        let (running, most) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let push = |n: usize| {
            let (running, most) = (running.clone(), most.clone());
            let work = async move {
                let now = running.fetch_add(1, Ordering::SeqCst) + 1;
                most.fetch_max(now, Ordering::SeqCst);
                std::thread::yield_now();
                running.fetch_sub(1, Ordering::SeqCst);
                Err(Failure::Failed(n.to_string()))
            };
            lane.push(Box::pin(work), 2, workers.handle())
        };
        for round in 0..20 {
            let answers: Vec<_> = (0..200).map(push).collect();
            for (n, answer) in answers.into_iter().enumerate() {
                let answer = answer.blocking_recv().expect("an answer");
                assert_eq!(answer, Err(Failure::Failed(n.to_string())), "round {round}");
            }
        }
        assert!((1..=2).contains(&most.load(Ordering::SeqCst)));
    }

    #[test]
    fn an_answer_does_not_wait_for_a_script_that_takes_its_time() {
        let workers = workers();
        let lane = Arc::<Lane>::default();
        let (go_on, held) = mpsc::channel::<()>();
        let first = async move {
            // Until both of the others are in line.
            held.recv().expect("open");
            Ok(Reply::Done)
        };
        let (end, ends) = mpsc::channel::<()>();
        let slow = async move {
            while ends.try_recv().is_err() {
                hand_out_in_time(Instant::now());
                std::thread::yield_now();
            }
            Ok(Reply::Done)
        };
        let push = |work: Work| lane.push(work, 1, workers.handle());
        let first = push(Box::pin(first));
        let slow = push(Box::pin(slow));
        let last = push(Box::pin(async { Ok(Reply::Done) }));
        go_on.send(()).expect("open");
        assert_eq!(
            first.blocking_recv(),
            Ok(Ok(Reply::Done)),
            "while the slow one runs"
        );
        end.send(()).expect("open");
        assert_eq!(slow.blocking_recv(), Ok(Ok(Reply::Done)));
        assert_eq!(last.blocking_recv(), Ok(Ok(Reply::Done)));
    }
}
