//! *log*: lines in the server's log, with the name of the plugin.

use lwm2m_server::EndpointName;

use crate::context::CallContext;

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
}

/// The longest line, in bytes; more is cut off.
const LINE_MAX: usize = 1024;

/// Fields of one line, at most.
const FIELDS_MAX: usize = 16;

impl CallContext {
    /// Writes a line, unless the call has written enough. Needs no permission, and is never an error:
    /// a flood costs nobody but the plugin.
    pub(crate) fn log(&self, level: Level, message: &str, fields: &[(String, String)]) {
        if !self.may_log() {
            return;
        }
        let plugin = &*self.allowance.plugin;
        let hook = self.hook.map_or("init", lwm2m_server::Hook::name);
        let endpoint = self.endpoint.as_ref().map_or("", EndpointName::as_str);
        if let Some(stage) = &self.services().stage {
            stage.logged(level, message, fields);
        }
        let message = shown(message);
        let fields: Vec<String> = fields
            .iter()
            .take(FIELDS_MAX)
            .map(|(key, value)| format!("{}={}", shown(key), shown(value)))
            .collect();
        let fields = fields.join(" ");
        match level {
            Level::Trace => tracing::trace!(plugin, hook, endpoint, fields, "{message}"),
            Level::Debug => tracing::debug!(plugin, hook, endpoint, fields, "{message}"),
            Level::Info => tracing::info!(plugin, hook, endpoint, fields, "{message}"),
            Level::Warn => tracing::warn!(plugin, hook, endpoint, fields, "{message}"),
            Level::Error => tracing::error!(plugin, hook, endpoint, fields, "{message}"),
        }
    }
}

/// One line of bounded length: control characters would forge others.
fn shown(text: &str) -> String {
    let mut shown: String = text.chars().flat_map(escaped).take(LINE_MAX).collect();
    shown.truncate(shown.floor_char_boundary(LINE_MAX));
    shown
}

fn escaped(c: char) -> impl Iterator<Item = char> {
    let control = c.is_control().then(|| c.escape_default());
    let plain = control.is_none().then_some(c);
    control.into_iter().flatten().chain(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stays_one_line_and_short() {
        assert_eq!(shown("a\nINFO b\u{1b}[31m"), "a\\nINFO b\\u{1b}[31m");
        assert_eq!(shown(&"x".repeat(LINE_MAX)).len(), LINE_MAX);
        assert_eq!(shown(&"x".repeat(LINE_MAX + 1)).len(), LINE_MAX);
        assert!(shown(&"é".repeat(LINE_MAX)).len() <= LINE_MAX);
    }
}
