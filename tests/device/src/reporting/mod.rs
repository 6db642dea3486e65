//! Information reporting without messages: attributes, when to notify, what Discover tells.

mod attributes;
mod discover;
mod evaluate;

pub(crate) use attributes::AttributeTable;
pub(crate) use discover::{Links, discover, object_list};
pub use evaluate::{Conditions, Situation, Verdict, evaluate};
