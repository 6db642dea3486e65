//! Whether a file that arrived is what the index says.

use lwm2m_core::ObjectModel;
use lwm2m_registry::{ObjectKey, ParseError, Parsed, Parser};

use super::Failure;
use super::plan::Planned;
use crate::registry::definitions;

/// Refuses what is no definition of the expected objects, as after a cut transfer.
pub(super) fn check(planned: &Planned, content: &[u8]) -> Result<(), Failure> {
    let file = planned.path.to_string();
    match Parser::default().parse(content, &file) {
        Err(error) if planned.is_companion() && definitions::is_companion(&error) => Ok(()),
        Err(error) => Err(unreadable(file, error)),
        Ok(parsed) => match planned.objects.iter().find(|key| !defines(&parsed, **key)) {
            None => Ok(()),
            Some(missing) => Err(Failure {
                file,
                reason: format!("it defines {}, not {missing}", found(&parsed.models)),
                advice: "the index and the file disagree: tell who runs the registry".to_owned(),
            }),
        },
    }
}

fn unreadable(file: String, error: ParseError) -> Failure {
    Failure {
        file,
        reason: format!("line {}: {}", error.line, error.fault),
        advice: "the file is broken or was cut short: run the command again, and look at it at \
                 its source when that does not help"
            .to_owned(),
    }
}

fn defines(parsed: &Parsed, key: ObjectKey) -> bool {
    parsed
        .models
        .iter()
        .any(|model| ObjectKey::of(model) == key)
}

fn found(models: &[ObjectModel]) -> String {
    let keys: Vec<String> = models
        .iter()
        .map(|model| ObjectKey::of(model).to_string())
        .collect();
    match keys.is_empty() {
        true => "no object".to_owned(),
        false => keys.join(", "),
    }
}
