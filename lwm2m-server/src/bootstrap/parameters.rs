//! The query of a Bootstrap-Request or Bootstrap-Pack-Request: a pure function from Uri-Query items
//! to typed parameters, or to the reason why not.

use lwm2m_coap::Code;
use lwm2m_core::{ContentFormat, Path, link};

use crate::{EndpointName, Reason, Refusal};

/// The formats that a plan can be written in.
pub(crate) const FORMATS: [ContentFormat; 4] = [
    ContentFormat::SenmlJson,
    ContentFormat::SenmlCbor,
    ContentFormat::Tlv,
    ContentFormat::Lwm2mCbor,
];

/// What the query says.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct BootstrapParameters {
    /// None when the device leaves it to the identity of its session.
    pub(crate) endpoint: Option<EndpointName>,
    /// `pct` (1.1).
    pub(crate) preferred_format: Option<ContentFormat>,
    /// `acc` (1.2.1): the instances of the bootstrap server's own account.
    pub(crate) own_account: Vec<Path>,
    /// The parameters that we do not know.
    pub(crate) others: Vec<(String, String)>,
}

impl BootstrapParameters {
    /// Reads the Uri-Query items; at most `others_max` unknown parameters.
    pub(crate) fn parse<'q>(
        items: impl Iterator<Item = &'q [u8]>,
        others_max: usize,
    ) -> Result<BootstrapParameters, ParameterError> {
        let mut parameters = BootstrapParameters::default();
        let mut accounts = None;
        for item in items {
            let item = std::str::from_utf8(item).map_err(|_| ParameterError::Utf8)?;
            let (key, value) = item.split_once('=').unwrap_or((item, ""));
            let others = &mut parameters.others;
            match key {
                "ep" => once("ep", &mut parameters.endpoint, endpoint(value)?)?,
                "pct" => once("pct", &mut parameters.preferred_format, format(value)?)?,
                "acc" => once("acc", &mut accounts, instances(value)?)?,
                "" if value.is_empty() => {}
                _ if others.iter().any(|(known, _)| known == key) => {
                    return Err(ParameterError::Duplicate(key.to_owned()));
                }
                _ if others.len() == others_max => return Err(ParameterError::TooMany(others_max)),
                _ => others.push((key.to_owned(), value.to_owned())),
            }
        }
        parameters.own_account = accounts.unwrap_or_default();
        Ok(parameters)
    }
}

fn once<T>(key: &str, slot: &mut Option<T>, value: T) -> Result<(), ParameterError> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(ParameterError::Duplicate(key.to_owned())),
    }
}

fn endpoint(value: &str) -> Result<EndpointName, ParameterError> {
    match value.is_empty() {
        true => Err(ParameterError::EndpointMissing),
        false => EndpointName::new(value).ok_or(ParameterError::EndpointTooLong),
    }
}

fn format(value: &str) -> Result<ContentFormat, ParameterError> {
    let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    if !digits {
        return Err(ParameterError::FormatMalformed(value.to_owned()));
    }
    let number = value.parse().ok();
    number
        .and_then(ContentFormat::from_number)
        .filter(|format| FORMATS.contains(format))
        .ok_or_else(|| ParameterError::FormatUnsupported(value.to_owned()))
}

fn instances(value: &str) -> Result<Vec<Path>, ParameterError> {
    let malformed = || ParameterError::AccountMalformed(value.to_owned());
    let links = link::parse(value.as_bytes()).map_err(|_| malformed())?;
    let path = |link: &link::Link<'_>| -> Result<Path, ParameterError> {
        let path: Path = link.target.parse().map_err(|_| malformed())?;
        (path.ids().len() == 2)
            .then_some(path)
            .ok_or_else(malformed)
    };
    links.iter().map(path).collect()
}

/// Why the query is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ParameterError {
    #[error("a parameter is not UTF-8")]
    Utf8,
    #[error("the endpoint name 'ep' is missing")]
    EndpointMissing,
    #[error("the endpoint name is longer than {} bytes", EndpointName::MAX)]
    EndpointTooLong,
    #[error("the preferred format 'pct' is {0:?}")]
    FormatMalformed(String),
    #[error("the preferred format {0} is not supported")]
    FormatUnsupported(String),
    #[error("the account 'acc' is {0:?}")]
    AccountMalformed(String),
    #[error("the parameter {0:?} is given twice")]
    Duplicate(String),
    #[error("more than {0} unknown parameters")]
    TooMany(usize),
}

impl From<ParameterError> for Refusal {
    fn from(error: ParameterError) -> Refusal {
        use ParameterError as Error;
        let (word, hint) = match &error {
            Error::Utf8 => ("parameter-not-utf8", "write Uri-Query items in UTF-8"),
            Error::EndpointMissing => (
                "endpoint-missing",
                "add ep=NAME to the query of the Bootstrap-Request; only a peer whose credential \
                 stands for one name may leave it out",
            ),
            Error::EndpointTooLong => ("endpoint-too-long", "use a shorter name"),
            Error::FormatMalformed(_) => (
                "format-malformed",
                "pct takes the number of a content format, as in pct=112",
            ),
            Error::FormatUnsupported(_) => (
                "format-unsupported",
                "use pct=110, 112, 11542 or 11544, or leave it out for TLV",
            ),
            Error::AccountMalformed(_) => (
                "account-malformed",
                "acc takes object instances as links, as in acc=</0/0>,</21/0>",
            ),
            Error::Duplicate(_) => ("parameter-twice", "give each parameter once"),
            Error::TooMany(_) => (
                "parameters-too-many",
                "raise limits.annotations_max, or have the device send fewer",
            ),
        };
        let code = match error {
            Error::FormatUnsupported(_) => Code::UNSUPPORTED_CONTENT_FORMAT,
            _ => Code::BAD_REQUEST,
        };
        Refusal {
            code,
            reason: Reason::new(word, error.to_string()).hint(hint),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(query: &str) -> Result<BootstrapParameters, ParameterError> {
        BootstrapParameters::parse(query.split('&').map(str::as_bytes), 2)
    }

    #[test]
    fn reads_the_parameters_of_every_version() {
        let parameters = parse("pct=112&x=y=z&ep=urn:a").expect("good");
        assert_eq!(parameters.endpoint, EndpointName::new("urn:a"));
        assert_eq!(parameters.preferred_format, Some(ContentFormat::SenmlCbor));
        assert_eq!(parameters.others, [("x".to_owned(), "y=z".to_owned())]);
        let old = parse("ep=a").expect("good");
        assert_eq!((old.preferred_format, old.own_account), (None, vec![]));
        assert_eq!(parse("").expect("good"), BootstrapParameters::default());
        let pack = parse("ep=a&acc=</0/2>,</21/0>").expect("good");
        assert_eq!(
            pack.own_account,
            [Path::instance(0, 2), Path::instance(21, 0)]
        );
    }

    #[test]
    fn says_what_is_wrong_with_them() {
        let long = format!("ep={}", "x".repeat(256));
        for (query, code, word) in [
            ("ep=", "4.00", "endpoint-missing"),
            (&long, "4.00", "endpoint-too-long"),
            ("ep=a&pct=abc", "4.00", "format-malformed"),
            ("ep=a&pct=", "4.00", "format-malformed"),
            ("ep=a&pct=9999", "4.15", "format-unsupported"),
            ("ep=a&pct=0", "4.15", "format-unsupported"),
            ("ep=a&pct=99999", "4.15", "format-unsupported"),
            ("ep=a&pct=112&pct=110", "4.00", "parameter-twice"),
            ("ep=a&ep=a", "4.00", "parameter-twice"),
            ("ep=a&acc=/0/0", "4.00", "account-malformed"),
            ("ep=a&acc=</0>", "4.00", "account-malformed"),
            ("ep=a&a=1&b=2&c=3", "4.00", "parameters-too-many"),
        ] {
            let refusal = Refusal::from(parse(query).expect_err(query));
            assert_eq!(
                (refusal.code.to_string().as_str(), refusal.reason.code),
                (code, word),
                "{query}"
            );
            assert!(refusal.reason.hint.is_some(), "{query}");
        }
        assert!(parse("ep=a&a=1&b=2").is_ok());
    }
}
