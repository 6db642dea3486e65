//! The query of a Register or Update (Core 1.2.2 §6.2.1, §6.2.2): a pure function from Uri-Query
//! items to typed parameters, or to the reason why not.
//!
//! Lenient where devices in the field need it: `lt` and `lwm2m` may be missing, `b` comes in the
//! grammar of 1.0 (`UQ`) or of 1.1 (`U` and a bare `Q`), parameters that we do not know are kept.

use lwm2m_coap::Code;
use lwm2m_core::{Version, VersionError};

use super::{Binding, EndpointName};
use crate::{Reason, Refusal};

/// What the query of a Register says.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RegisterParameters<'q> {
    /// None when the device leaves it to the identity of its session.
    pub(crate) endpoint: Option<&'q str>,
    pub(crate) version: Version,
    /// None when the device leaves it to the server.
    pub(crate) lifetime_s: Option<u32>,
    pub(crate) binding: Binding,
    pub(crate) sms: Option<&'q str>,
    /// The profile ids of `pid` (1.2).
    pub(crate) profiles: Vec<&'q str>,
    /// The parameters that we do not know.
    pub(crate) others: Vec<(&'q str, &'q str)>,
}

impl<'q> RegisterParameters<'q> {
    /// Reads the Uri-Query items of a Register; at most `others_max` unknown parameters.
    pub(crate) fn parse(
        items: impl Iterator<Item = &'q [u8]>,
        others_max: usize,
    ) -> Result<RegisterParameters<'q>, ParameterError> {
        let query = Query::parse(items, others_max)?;
        let version = match query.version {
            None => Version::V1_0,
            Some(text) => text.parse().map_err(|error| match error {
                VersionError::Unsupported => ParameterError::VersionUnsupported(text.to_owned()),
                _ => ParameterError::VersionMalformed(text.to_owned()),
            })?,
        };
        let mut binding = query.binding.map_or(Binding::UDP, Binding::from_letters);
        binding.queue |= query.queue == Some(true);
        Ok(RegisterParameters {
            endpoint: query.endpoint,
            version,
            lifetime_s: query.lifetime_s,
            binding,
            sms: query.sms,
            profiles: query.profiles()?,
            others: query.others,
        })
    }
}

/// What the query of an Update changes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct UpdateParameters<'q> {
    pub(crate) lifetime_s: Option<u32>,
    pub(crate) binding: BindingChange,
    pub(crate) sms: Option<&'q str>,
    pub(crate) profiles: Vec<&'q str>,
    pub(crate) others: Vec<(&'q str, &'q str)>,
}

impl<'q> UpdateParameters<'q> {
    /// Reads the Uri-Query items of an Update.
    ///
    /// `ep` and `lwm2m` cannot change; a device that repeats them is left in peace.
    pub(crate) fn parse(
        items: impl Iterator<Item = &'q [u8]>,
        others_max: usize,
        endpoint: &EndpointName,
        version: Version,
    ) -> Result<UpdateParameters<'q>, ParameterError> {
        let query = Query::parse(items, others_max)?;
        if query.endpoint.is_some_and(|ep| ep != endpoint.as_str()) {
            return Err(ParameterError::Fixed("ep"));
        }
        if query.version.is_some_and(|text| text != version.as_str()) {
            return Err(ParameterError::Fixed("lwm2m"));
        }
        Ok(UpdateParameters {
            lifetime_s: query.lifetime_s,
            binding: BindingChange {
                letters: query.binding.map(Binding::from_letters),
                queue: query.queue,
            },
            sms: query.sms,
            profiles: query.profiles()?,
            others: query.others,
        })
    }
}

/// What `b` and `Q` of an Update say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct BindingChange {
    letters: Option<Binding>,
    queue: Option<bool>,
}

impl BindingChange {
    /// The binding after it.
    ///
    /// In 1.0 `b` says everything. From 1.1 on queue mode is a parameter of its own, and its
    /// absence does not switch it off.
    pub(crate) fn after(self, before: Binding, version: Version) -> Binding {
        let mut binding = match self.letters {
            None => before,
            Some(mut binding) => {
                binding.queue |= version > Version::V1_0 && before.queue;
                binding
            }
        };
        binding.queue = self.queue.unwrap_or(binding.queue);
        binding
    }
}

/// The items of a query by their keys.
#[derive(Debug, Default)]
struct Query<'q> {
    endpoint: Option<&'q str>,
    lifetime_s: Option<u32>,
    version: Option<&'q str>,
    binding: Option<&'q str>,
    queue: Option<bool>,
    sms: Option<&'q str>,
    pid: Option<&'q str>,
    others: Vec<(&'q str, &'q str)>,
}

impl<'q> Query<'q> {
    fn parse(
        items: impl Iterator<Item = &'q [u8]>,
        others_max: usize,
    ) -> Result<Query<'q>, ParameterError> {
        let mut query = Query::default();
        for item in items {
            let item = std::str::from_utf8(item).map_err(|_| ParameterError::Utf8)?;
            let (key, value) = item.split_once('=').unwrap_or((item, ""));
            match key {
                "ep" => once("ep", &mut query.endpoint, endpoint(value)?)?,
                "lt" => once("lt", &mut query.lifetime_s, lifetime(value)?)?,
                "lwm2m" => once("lwm2m", &mut query.version, value)?,
                "b" => once("b", &mut query.binding, value)?,
                "Q" => once("Q", &mut query.queue, queue(value)?)?,
                "sms" => once("sms", &mut query.sms, value)?,
                "pid" => once("pid", &mut query.pid, value)?,
                "" if value.is_empty() => {}
                _ if query.others.iter().any(|(known, _)| *known == key) => {
                    return Err(ParameterError::Duplicate(key.to_owned()));
                }
                _ if query.others.len() == others_max => {
                    return Err(ParameterError::TooMany(others_max));
                }
                _ => query.others.push((key, value)),
            }
        }
        Ok(query)
    }

    /// One profile id, or several between quotes.
    fn profiles(&self) -> Result<Vec<&'q str>, ParameterError> {
        let Some(pid) = self.pid else {
            return Ok(Vec::new());
        };
        let list = match pid.strip_prefix('"') {
            None => pid,
            Some(rest) => rest
                .strip_suffix('"')
                .ok_or_else(|| ParameterError::Profile(pid.to_owned()))?,
        };
        list.split(',')
            .map(str::trim)
            .map(|profile| match profile.split_once(':') {
                Some((scheme, name)) if !scheme.is_empty() && !name.is_empty() => Ok(profile),
                _ => Err(ParameterError::Profile(profile.to_owned())),
            })
            .collect()
    }
}

fn once<T>(key: &str, slot: &mut Option<T>, value: T) -> Result<(), ParameterError> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(ParameterError::Duplicate(key.to_owned())),
    }
}

fn endpoint(value: &str) -> Result<&str, ParameterError> {
    match value.len() {
        0 => Err(ParameterError::EndpointMissing),
        1..=EndpointName::MAX => Ok(value),
        _ => Err(ParameterError::EndpointTooLong),
    }
}

fn lifetime(value: &str) -> Result<u32, ParameterError> {
    let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    digits
        .then(|| value.parse().ok())
        .flatten()
        .ok_or_else(|| ParameterError::Lifetime(value.to_owned()))
}

fn queue(value: &str) -> Result<bool, ParameterError> {
    match value {
        "" | "1" | "true" => Ok(true),
        "0" | "false" => Ok(false),
        _ => Err(ParameterError::Queue(value.to_owned())),
    }
}

/// Why the query of a Register or Update is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ParameterError {
    #[error("a parameter is not UTF-8")]
    Utf8,
    #[error("the endpoint name 'ep' is missing")]
    EndpointMissing,
    #[error("the endpoint name is longer than {} bytes", EndpointName::MAX)]
    EndpointTooLong,
    #[error("the lifetime 'lt' is {0:?}")]
    Lifetime(String),
    #[error("LwM2M version {0:?} is not supported")]
    VersionUnsupported(String),
    #[error("the version 'lwm2m' is {0:?}")]
    VersionMalformed(String),
    #[error("the queue mode flag 'Q' has the value {0:?}")]
    Queue(String),
    #[error("the profile id {0:?} has no form that is known")]
    Profile(String),
    #[error("the parameter {0:?} is given twice")]
    Duplicate(String),
    #[error("more than {0} unknown parameters")]
    TooMany(usize),
    #[error("an Update cannot change '{0}'")]
    Fixed(&'static str),
}

impl ParameterError {
    /// The stable word, and how to mend it.
    fn facts(&self) -> (&'static str, &'static str) {
        match self {
            ParameterError::Utf8 => ("parameter-not-utf8", "write Uri-Query items in UTF-8"),
            ParameterError::EndpointMissing => (
                "endpoint-missing",
                "add ep=NAME to the query of the Register; only a peer whose credential stands for \
                 one name may leave it out",
            ),
            ParameterError::EndpointTooLong => ("endpoint-too-long", "use a shorter name"),
            ParameterError::Lifetime(_) => (
                "lifetime-malformed",
                "lt takes whole seconds, 0 to 4294967295, as in lt=300",
            ),
            ParameterError::VersionUnsupported(_) => {
                ("version-unsupported", "register with lwm2m=1.2, 1.1 or 1.0")
            }
            ParameterError::VersionMalformed(_) => (
                "version-malformed",
                "lwm2m takes major.minor without a third number, as in lwm2m=1.1",
            ),
            ParameterError::Queue(_) => ("queue-mode-malformed", "Q is a flag and takes no value"),
            ParameterError::Profile(_) => (
                "profile-malformed",
                "pid takes SUITE:HEX, oma:NAME or v:NAME, several between quotes",
            ),
            ParameterError::Duplicate(_) => ("parameter-twice", "give each parameter once"),
            ParameterError::TooMany(_) => (
                "parameters-too-many",
                "raise limits.annotations_max, or have the device send fewer",
            ),
            ParameterError::Fixed(_) => ("parameter-fixed", "register again to change it"),
        }
    }
}

impl From<ParameterError> for Refusal {
    fn from(error: ParameterError) -> Refusal {
        let code = match error {
            ParameterError::VersionUnsupported(_) => Code::PRECONDITION_FAILED,
            _ => Code::BAD_REQUEST,
        };
        let (word, hint) = error.facts();
        Refusal {
            code,
            reason: Reason::new(word, error.to_string()).hint(hint),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn register(query: &str) -> Result<RegisterParameters<'_>, ParameterError> {
        RegisterParameters::parse(query.split('&').map(str::as_bytes), 4)
    }

    fn update(query: &str) -> Result<UpdateParameters<'_>, ParameterError> {
        let name = EndpointName::new("a").expect("a name");
        UpdateParameters::parse(query.split('&').map(str::as_bytes), 4, &name, Version::V1_1)
    }

    fn code(query: &str) -> (Code, &'static str) {
        let refusal = Refusal::from(register(query).expect_err(query));
        assert!(refusal.reason.hint.is_some());
        (refusal.code, refusal.reason.code)
    }

    #[test]
    fn reads_the_parameters_of_every_version() {
        let parameters =
            register("sms=4917&b=U&lt=86400&ep=urn:dev:ops:1&lwm2m=1.1&Q&x=y=z&flag").expect("ok");
        assert_eq!(parameters.endpoint, Some("urn:dev:ops:1"));
        assert_eq!(parameters.version, Version::V1_1);
        assert_eq!(parameters.lifetime_s, Some(86400));
        assert_eq!(parameters.binding.to_string(), "UQ");
        assert_eq!(parameters.sms, Some("4917"));
        assert_eq!(parameters.others, [("x", "y=z"), ("flag", "")]);

        let old = register("ep=a&b=UQS&lwm2m=1.0").expect("ok");
        assert_eq!(old.binding.to_string(), "USQ");
        let bare = register("ep=a").expect("lenient");
        assert_eq!((bare.version, bare.lifetime_s), (Version::V1_0, None));
        assert_eq!(bare.binding, Binding::UDP);
    }

    #[test]
    fn reads_every_form_of_queue_mode() {
        for (form, queue) in [
            ("Q", true),
            ("Q=", true),
            ("Q=1", true),
            ("Q=true", true),
            ("Q=0", false),
            ("Q=false", false),
        ] {
            let query = format!("ep=a&{form}");
            assert_eq!(register(&query).expect(form).binding.queue, queue, "{form}");
        }
        assert_eq!(code("ep=a&Q=2").1, "queue-mode-malformed");
    }

    #[test]
    fn lifetimes_are_whole_seconds() {
        for (value, seconds) in [("0", 0), ("1", 1), ("4294967295", u32::MAX), ("0060", 60)] {
            let query = format!("ep=a&lt={value}");
            assert_eq!(register(&query).expect(value).lifetime_s, Some(seconds));
        }
        for value in [
            "-1",
            "+1",
            "99999999999",
            "abc",
            "",
            "1.5",
            " 1",
            "4294967296",
        ] {
            let refused = (Code::BAD_REQUEST, "lifetime-malformed");
            assert_eq!(code(&format!("ep=a&lt={value}")), refused, "{value}");
        }
        assert_eq!(code("ep=a&lt=1&lt=1").1, "parameter-twice");
    }

    #[test]
    fn versions_are_refused_with_the_code_that_clients_act_on() {
        for (value, refused) in [
            ("1.3", Code::PRECONDITION_FAILED),
            ("2.0", Code::PRECONDITION_FAILED),
            ("1", Code::BAD_REQUEST),
            ("1.1.1", Code::BAD_REQUEST),
            ("", Code::BAD_REQUEST),
        ] {
            assert_eq!(code(&format!("ep=a&lwm2m={value}")).0, refused, "{value}");
        }
    }

    #[test]
    fn endpoint_names_are_taken_as_they_stand() {
        for name in ["'; drop table", "a\nb", "%2f", "📟", "a b"] {
            let query = format!("ep={name}");
            assert_eq!(register(&query).expect(name).endpoint, Some(name));
        }
        assert_eq!(
            register("lt=1").expect("left to the identity").endpoint,
            None
        );
        assert_eq!(code("ep=").1, "endpoint-missing");
        assert_eq!(code("ep").1, "endpoint-missing");
        assert_eq!(
            code(&format!("ep={}", "x".repeat(300))).1,
            "endpoint-too-long"
        );
        let bytes: &[u8] = b"ep=\xff\xfe";
        let refused = RegisterParameters::parse([bytes].into_iter(), 4);
        assert_eq!(refused, Err(ParameterError::Utf8));
    }

    #[test]
    fn unknown_parameters_have_a_limit() {
        assert!(register("ep=a&p=1&q=2&r=3&s=4").is_ok());
        assert_eq!(code("ep=a&p=1&q=2&r=3&s=4&t=5").1, "parameters-too-many");
        assert_eq!(code("ep=a&p=1&p=1").1, "parameter-twice");
        assert_eq!(code("ep=a&ep=a").1, "parameter-twice");
    }

    #[test]
    fn profiles_come_alone_or_between_quotes() {
        let profiles = |query| register(query).expect(query).profiles;
        assert_eq!(profiles("ep=a&pid=6:27354b9a"), ["6:27354b9a"]);
        assert_eq!(
            profiles("ep=a&pid=\"6:27354b9a,oma:x\""),
            ["6:27354b9a", "oma:x"]
        );
        for query in [
            "ep=a&pid=",
            "ep=a&pid=\"6:1",
            "ep=a&pid=abc",
            "ep=a&pid=6:1,",
        ] {
            assert_eq!(code(query).1, "profile-malformed", "{query}");
        }
    }

    #[test]
    fn an_update_changes_what_it_names() {
        let sleepy = Binding::from_letters("UQ");
        let keep = update("lt=20").expect("ok");
        assert_eq!(keep.lifetime_s, Some(20));
        assert_eq!(keep.binding.after(sleepy, Version::V1_1), sleepy);

        let letters = update("b=UT").expect("ok");
        assert_eq!(
            letters.binding.after(sleepy, Version::V1_1).to_string(),
            "UTQ"
        );
        assert_eq!(
            letters.binding.after(sleepy, Version::V1_0).to_string(),
            "UT"
        );
        let off = update("Q=0").expect("ok");
        assert_eq!(off.binding.after(sleepy, Version::V1_1), Binding::UDP);

        assert!(update("ep=a&lwm2m=1.1").is_ok());
        assert_eq!(update("ep=b"), Err(ParameterError::Fixed("ep")));
        assert_eq!(update("lwm2m=1.0"), Err(ParameterError::Fixed("lwm2m")));
    }
}
