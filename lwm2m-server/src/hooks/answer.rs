//! An answer that is there, or that comes.

use std::future::{Future, IntoFuture};
use std::pin::Pin;

/// An answer that is there, or that comes.
///
/// [`Answer::Later`] is polled on the runtime of a shard or of the server: it waits for what works
/// elsewhere, and does no work of its own that takes long.
pub enum Answer<T> {
    /// It is there.
    Now(T),
    /// It comes.
    Later(Pin<Box<dyn Future<Output = T> + Send>>),
}

impl<T> Answer<T> {
    /// One that comes.
    pub fn later(answer: impl Future<Output = T> + Send + 'static) -> Answer<T> {
        Answer::Later(Box::pin(answer))
    }
}

impl<T: Send + 'static> IntoFuture for Answer<T> {
    type Output = T;
    type IntoFuture = Pin<Box<dyn Future<Output = T> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        match self {
            Answer::Now(answer) => Box::pin(std::future::ready(answer)),
            Answer::Later(answer) => answer,
        }
    }
}
