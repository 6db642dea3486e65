//! What real devices do differently from the specification.

use std::time::Duration;

/// Deviations that a simulated client shows, for tests of servers. None by default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Quirks {
    /// Answers carry no Content-Format.
    pub no_content_format: bool,
    /// The Accept option is ignored: always the default format.
    pub ignore_accept: bool,
    /// FETCH and iPATCH get an empty acknowledgement and nothing else, ever (Wakaama).
    pub composite_without_answer: bool,
    /// FETCH and iPATCH are refused with 4.05.
    pub composite_refused: bool,
    /// An empty acknowledgement first, the response apart.
    pub separate_responses: bool,
    /// Time passes before each answer.
    pub answer_delay: Duration,
    /// No request is answered at all.
    pub silent: bool,
    /// Link targets end with a slash: `</3/0/>`.
    pub trailing_slashes: bool,
    /// The tokens of responses and notifications are not those of the requests.
    pub wrong_tokens: bool,
    /// A new observation of a path ends the one before (Zephyr, Wakaama).
    pub one_observation_per_path: bool,
    /// An Update carries links without Content-Format (Wakaama).
    pub update_without_content_format: bool,
    /// A Register without Content-Format.
    pub register_without_content_format: bool,
    /// A Register without `b`, whatever the binding (Anjay).
    pub no_binding: bool,
    /// A Register without `lwm2m` (Awa).
    pub no_version: bool,
    /// Create answers without Location-Path (Zephyr).
    pub create_without_location: bool,
    /// This object list instead of the true one.
    pub object_list: Option<String>,
    /// `/1/0/8`, Registration Update Trigger, is answered and then ignored.
    pub ignore_update_trigger: bool,
    /// Registers again, without a de-registration, where an Update is due.
    pub register_instead_of_update: bool,
}
