//! From the types of the contract to those of the server. What a component answers is checked here:
//! it can be anything that has the right shape.

use std::sync::Arc;
use std::time::Duration;

use lwm2m_coap::Code;
use lwm2m_core::{Attributes, ContentFormat, Edge, ObjectLink, Path, Record, Value};
use lwm2m_server::credentials::{
    CertificateRule, Credential, CredentialId, NamePattern, OscoreCredential, Proof, SecretKey,
};
use lwm2m_server::hooks::{
    CredentialAnswer, CredentialRequest, FirmwareAction, FirmwareChoice, FirmwareStep,
    FirmwareStrategy, FirmwareVerdict, Grouping, ObservePlan, ObserveTarget, Outcome, Repair,
    Series,
};
use lwm2m_server::{Annotations, Decision, PeerIdentity, Reason, Refusal};
use zeroize::Zeroize;

use super::bindings::exports::lwm2m::plugin::{
    credentials, firmware, firmware_driver, observe, registration, telemetry,
};
use super::bindings::lwm2m::plugin::types as wit;
use super::input::RELATIVE_BELOW_S;
use crate::Failure;

type Read<T> = Result<T, Failure>;

fn unusable<T>(what: impl Into<String>) -> Read<T> {
    Err(Failure::Unusable(what.into()))
}

pub(super) fn decision(decision: registration::Decision) -> Decision {
    match decision {
        registration::Decision::Pass => Decision::Pass,
        registration::Decision::Annotate(facts) => Decision::Annotate(annotations(facts)),
        registration::Decision::Accept(facts) => Decision::Accept(annotations(facts)),
        registration::Decision::Reject(rejection) => Decision::Reject(Refusal {
            code: code(rejection.code),
            reason: Reason::new("plugin-rejected", rejection.reason),
        }),
    }
}

fn annotations(facts: registration::Annotations) -> Annotations {
    Annotations {
        set: pairs(facts.set),
        remove: facts.remove,
        lifetime_s: facts.lifetime_s,
    }
}

fn pairs(attributes: Vec<wit::Attribute>) -> Vec<(String, String)> {
    let pair = |attribute: wit::Attribute| (attribute.name, attribute.value);
    attributes.into_iter().map(pair).collect()
}

pub(super) fn code(refusal: wit::Refusal) -> Code {
    match refusal {
        wit::Refusal::BadRequest => Code::BAD_REQUEST,
        wit::Refusal::Unauthorized => Code::UNAUTHORIZED,
        wit::Refusal::Forbidden => Code::FORBIDDEN,
        wit::Refusal::NotFound => Code::NOT_FOUND,
        wit::Refusal::NotAcceptable => Code::NOT_ACCEPTABLE,
        wit::Refusal::PreconditionFailed => Code::PRECONDITION_FAILED,
        wit::Refusal::ServiceUnavailable => Code::SERVICE_UNAVAILABLE,
    }
}

/// The answer to a peer that presents itself.
///
/// # Errors
/// A credential of another kind than the peer presents, a key or a name that none can have.
pub(super) fn credentials(
    request: &CredentialRequest,
    answer: credentials::Answer,
) -> Read<CredentialAnswer> {
    let grant = match answer {
        credentials::Answer::Unknown => return Ok(CredentialAnswer::Unknown),
        credentials::Answer::Deny(why) => return Ok(CredentialAnswer::Deny { why }),
        credentials::Answer::Grant(grant) => grant,
    };
    let proof = proof(&request.presented, grant.credential)?;
    let credential = Credential::new(CredentialId::random(), proof);
    let credential = match &grant.endpoint {
        Some(endpoint) => credential.endpoints([NamePattern::exact(endpoint)]),
        None => credential,
    };
    if let Err(error) = credential.check() {
        return unusable(format!("its credential: {error}"));
    }
    Ok(CredentialAnswer::Grant {
        credential: Arc::new(credential),
        cache: Duration::from_secs(grant.cache_s.into()),
    })
}

fn proof(presented: &PeerIdentity, credential: credentials::Credential) -> Read<Proof> {
    let granted = match &credential {
        credentials::Credential::Psk(_) => "psk",
        credentials::Credential::Rpk => "rpk",
        credentials::Credential::X509 => "x509",
        credentials::Credential::Oscore(_) => "oscore",
    };
    Ok(match (credential, presented) {
        (credentials::Credential::Psk(key), PeerIdentity::Psk(psk)) => Proof::Psk {
            identity: psk.identity.clone(),
            key: secret(key)?,
        },
        (credentials::Credential::Rpk, PeerIdentity::Rpk(rpk)) => Proof::Rpk {
            spki_sha256: rpk.sha256,
        },
        (credentials::Credential::X509, PeerIdentity::X509(x509)) => Proof::X509(CertificateRule {
            fingerprint: Some(x509.fingerprint),
            ..CertificateRule::default()
        }),
        (credentials::Credential::Oscore(oscore), PeerIdentity::Oscore(peer)) => {
            Proof::Oscore(OscoreCredential {
                master_secret: secret(oscore.master_secret)?,
                master_salt: oscore.master_salt,
                sender_id: oscore.sender_id,
                recipient_id: peer.sender_id.to_vec(),
                id_context: peer.id_context.as_deref().map(<[u8]>::to_vec),
                aead: oscore.aead,
                hmac: oscore.hmac,
            })
        }
        (mut credential, _) => {
            if let credentials::Credential::Psk(key) = &mut credential {
                key.zeroize();
            }
            let mode = presented.mode();
            return unusable(format!(
                "it grants {granted} to a peer that presents itself by {mode}"
            ));
        }
    })
}

fn secret(mut bytes: Vec<u8>) -> Read<SecretKey> {
    let key = SecretKey::new(&bytes);
    bytes.zeroize();
    key.map_or_else(|| unusable("a key that is empty or too long"), Ok)
}

/// # Errors
/// A path, an index or a format that there is none of.
pub(super) fn plan(plan: observe::ObservePlan) -> Read<ObservePlan> {
    let count = plan.targets.len();
    let target = |target: observe::Target| -> Read<ObserveTarget> {
        Ok(ObserveTarget {
            path: path(&target.path)?,
            attributes: target.attributes.map(attributes).unwrap_or_default(),
        })
    };
    let grouping = match plan.grouping {
        observe::Grouping::Single => Grouping::Single,
        observe::Grouping::CompositeAll => Grouping::CompositeAll,
        observe::Grouping::CompositeByObject => Grouping::CompositeByObject,
        observe::Grouping::Custom(groups) => {
            let outside = groups
                .iter()
                .flatten()
                .find(|index| **index as usize >= count);
            if let Some(index) = outside {
                return unusable(format!("a group names target {index} of {count}"));
            }
            Grouping::Custom(groups)
        }
    };
    let format = match plan.content_format.map(ContentFormat::from_number) {
        Some(None) => {
            let number = plan.content_format.unwrap_or_default();
            return unusable(format!("there is no content format {number}"));
        }
        Some(format) => format,
        None => None,
    };
    Ok(ObservePlan {
        targets: plan.targets.into_iter().map(target).collect::<Read<_>>()?,
        grouping,
        format,
        delay: Duration::from_millis(plan.delay_ms.into()),
        owner: None,
    })
}

/// # Errors
/// As [`plan`].
pub(super) fn repair(repair: observe::Repair) -> Read<Repair> {
    Ok(match repair {
        observe::Repair::Keep => Repair::Keep,
        observe::Repair::Drop => Repair::Drop,
        observe::Repair::Replace(plan) => Repair::Replace(self::plan(plan)?),
    })
}

pub(super) fn attributes(attributes: wit::NotificationAttributes) -> Attributes {
    Attributes {
        pmin: attributes.pmin.map(Some),
        pmax: attributes.pmax.map(Some),
        gt: attributes.gt.map(Some),
        lt: attributes.lt.map(Some),
        st: attributes.st.map(Some),
        epmin: attributes.epmin.map(Some),
        epmax: attributes.epmax.map(Some),
        edge: attributes.edge.map(|rising| match rising {
            true => Some(Edge::Rising),
            false => Some(Edge::Falling),
        }),
        con: attributes.con.map(Some),
        hqmax: attributes.hqmax.map(Some),
    }
}

/// # Errors
/// A path or a time that there is none of.
pub(super) fn outcome(outcome: telemetry::Outcome) -> Read<Outcome> {
    let series = |mapped: telemetry::Mapped| -> Read<Series> {
        Ok(Series {
            name: mapped.name,
            unit: mapped.unit,
            record: record(mapped.measurement)?,
            tags: pairs(mapped.tags),
        })
    };
    Ok(match outcome {
        telemetry::Outcome::Pass => Outcome::Pass,
        telemetry::Outcome::Drop => Outcome::Drop,
        telemetry::Outcome::Replace(measurements) => {
            Outcome::Replace(measurements.into_iter().map(record).collect::<Read<_>>()?)
        }
        telemetry::Outcome::Emit(mapped) => {
            Outcome::Emit(mapped.into_iter().map(series).collect::<Read<_>>()?)
        }
        telemetry::Outcome::Document((content_type, body)) => Outcome::Document {
            content_type,
            body: body.into(),
        },
    })
}

/// # Errors
/// A block size that there is none of.
pub(super) fn choice(choice: firmware::Choice) -> Read<FirmwareChoice> {
    let strategy = match choice {
        firmware::Choice::Pass => return Ok(FirmwareChoice::Pass),
        firmware::Choice::PostponeS(seconds) => return Ok(FirmwareChoice::Postpone(seconds)),
        firmware::Choice::Refuse(why) => return Ok(FirmwareChoice::Refuse(why)),
        firmware::Choice::Deliver(strategy) => strategy,
    };
    let block_size = |push: &firmware::Push| match push.block_size {
        size @ 16..=1024 if size.is_power_of_two() => Ok(size),
        size => unusable(format!("there are no blocks of {size} bytes")),
    };
    Ok(FirmwareChoice::Deliver(match strategy {
        firmware::Strategy::Object5Push(push) => FirmwareStrategy::Object5Push {
            instance: push.object_instance,
            block_size: block_size(&push)?,
        },
        firmware::Strategy::Object5Pull(pull) => FirmwareStrategy::Object5Pull {
            instance: pull.object_instance,
            uri: pull.uri,
        },
        firmware::Strategy::Object19Push(push) => FirmwareStrategy::Object19Push {
            instance: push.object_instance,
            block_size: block_size(&push)?,
        },
        firmware::Strategy::Custom(state) => FirmwareStrategy::Custom(state),
    }))
}

/// # Errors
/// A path that there is none of, more than a hundred per cent.
pub(super) fn step(output: firmware_driver::StepOutput) -> Read<FirmwareStep> {
    use firmware_driver::{Action, Verdict};
    let action = |action: Action| -> Read<FirmwareAction> {
        Ok(match action {
            Action::Read(paths) => FirmwareAction::Read(self::paths(&paths)?),
            Action::Write(values) => FirmwareAction::Write(self::values(values)?),
            Action::Execute((path, arguments)) => {
                FirmwareAction::Execute(self::path(&path)?, arguments)
            }
            Action::Observe(path) => FirmwareAction::Observe(self::path(&path)?),
            Action::SendImage(path) => FirmwareAction::SendImage(self::path(&path)?),
            Action::WaitMs(ms) => FirmwareAction::Wait(ms),
            Action::ReportProgress(percent @ 0..=100) => FirmwareAction::Progress(percent),
            Action::ReportProgress(percent) => return unusable(format!("{percent} per cent")),
        })
    };
    Ok(FirmwareStep {
        state: output.state,
        actions: output
            .actions
            .into_iter()
            .map(action)
            .collect::<Read<_>>()?,
        verdict: match output.verdict {
            Verdict::Running => FirmwareVerdict::Running,
            Verdict::Succeeded => FirmwareVerdict::Succeeded,
            Verdict::Failed(why) => FirmwareVerdict::Failed(why),
            Verdict::RetryLaterS(seconds) => FirmwareVerdict::RetryLater(seconds),
        },
    })
}

fn record(measurement: wit::Measurement) -> Read<Record<'static>> {
    let time = measurement.time_ms.map(|ms| ms as f64 / 1_000.0);
    if time.is_some_and(|time| time < RELATIVE_BELOW_S) {
        let ms = measurement.time_ms.unwrap_or_default();
        return unusable(format!("a time-ms of {ms}, which is before July 1978"));
    }
    Ok(Record {
        path: path(&measurement.path)?,
        time,
        value: value(measurement.value),
    })
}

pub(super) fn values(values: Vec<(wit::Path, wit::Value)>) -> Read<Vec<(Path, Value<'static>)>> {
    let one = |(path, value): (wit::Path, wit::Value)| -> Read<(Path, Value<'static>)> {
        Ok((self::path(&path)?, self::value(value)))
    };
    values.into_iter().map(one).collect()
}

pub(super) fn paths(paths: &[wit::Path]) -> Read<Vec<Path>> {
    paths.iter().map(path).collect()
}

/// # Errors
/// A level that is left out, the reserved identifier.
pub(super) fn path(path: &wit::Path) -> Read<Path> {
    let mut ids = [path.object; 4];
    let mut len = 1;
    let below = [path.instance, path.resource, path.resource_instance];
    for (level, id) in below.into_iter().enumerate() {
        let Some(id) = id else {
            continue;
        };
        if len != level + 1 {
            return unusable("a path leaves out a level");
        }
        ids[len] = id;
        len += 1;
    }
    let ids = &ids[..len];
    match Path::from_ids(ids) {
        Ok(path) if ids.iter().all(|id| *id <= Path::MAX_ID) => Ok(path),
        _ => unusable("a path has the identifier 65535"),
    }
}

fn value(value: wit::Value) -> Value<'static> {
    match value {
        wit::Value::None => Value::Null,
        wit::Value::Text(text) => Value::String(text.into()),
        wit::Value::Integer(number) => Value::Integer(number),
        wit::Value::Unsigned(number) => Value::Unsigned(number),
        wit::Value::Float(number) => Value::Float(number),
        wit::Value::Boolean(truth) => Value::Boolean(truth),
        wit::Value::Opaque(bytes) => Value::Opaque(bytes.into()),
        wit::Value::Time(seconds) => Value::Time(seconds),
        wit::Value::ObjectLink(link) => Value::ObjectLink(ObjectLink {
            object: link.object,
            instance: link.instance,
        }),
        wit::Value::CoreLink(text) => Value::CoreLink(text.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(instance: Option<u16>, resource: Option<u16>, inner: Option<u16>) -> Read<Path> {
        path(&wit::Path {
            object: 3,
            instance,
            resource,
            resource_instance: inner,
        })
    }

    #[test]
    fn a_path_has_all_its_levels() {
        assert_eq!(at(None, None, None), Ok(Path::object(3)));
        assert_eq!(at(Some(0), None, None), Ok(Path::instance(3, 0)));
        assert_eq!(at(Some(0), Some(9), None), Ok(Path::resource(3, 0, 9)));
        let whole = Path::resource_instance(3, 0, 6, 1);
        assert_eq!(at(Some(0), Some(6), Some(1)), Ok(whole));
        for gap in [
            at(None, Some(9), None),
            at(None, None, Some(1)),
            at(Some(0), None, Some(1)),
            at(Some(u16::MAX), None, None),
        ] {
            assert!(matches!(gap, Err(Failure::Unusable(_))), "{gap:?}");
        }
    }

    #[test]
    fn a_time_is_one_of_the_calendar() {
        let measured = |time_ms| {
            record(wit::Measurement {
                path: wit::Path {
                    object: 3,
                    instance: Some(0),
                    resource: Some(9),
                    resource_instance: None,
                },
                time_ms,
                value: wit::Value::Integer(100),
            })
        };
        assert_eq!(measured(None).map(|record| record.time), Ok(None));
        let time = measured(Some(1_700_000_000_500)).map(|record| record.time);
        assert_eq!(time, Ok(Some(1_700_000_000.5)));
        // It would be read as so long after the reception.
        assert!(matches!(measured(Some(5_000)), Err(Failure::Unusable(_))));
    }

    #[test]
    fn a_credential_is_of_the_kind_that_was_presented() {
        let psk = PeerIdentity::psk(b"meter-1", None);
        let request = CredentialRequest::new(psk.clone());
        let grant = |credential| {
            credentials::Answer::Grant(credentials::Grant {
                credential,
                endpoint: None,
                cache_s: 60,
            })
        };
        let key = || credentials::Credential::Psk(vec![7; 16]);
        let granted = credentials(&request, grant(key())).expect("granted");
        let CredentialAnswer::Grant { credential, cache } = granted else {
            panic!("{granted:?}");
        };
        assert_eq!(credential.identify(&psk), Some(psk));
        assert_eq!(cache, Duration::from_secs(60));

        let other = CredentialRequest::new(PeerIdentity::rpk(b"a key"));
        let refused = credentials(&other, grant(key())).expect_err("of another kind");
        assert!(
            refused.to_string().contains("presents itself by rpk"),
            "{refused}"
        );
        let empty = grant(credentials::Credential::Psk(Vec::new()));
        assert!(matches!(
            credentials(&request, empty),
            Err(Failure::Unusable(_))
        ));
    }
}
