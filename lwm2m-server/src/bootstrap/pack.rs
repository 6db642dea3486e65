//! A plan as one payload: the Bootstrap-Pack of LwM2M 1.2 (Core 1.2.2 §6.1.7.6).

use lwm2m_coap::Code;
use lwm2m_core::codec::EncodeError;
use lwm2m_core::{ContentFormat, ObjectModels, Path, Version};

use super::BootstrapPlan;
use super::values::Device;
use crate::{Reason, Refusal};

/// The format of the pack for a device that accepts this one; SenML CBOR where it does not say.
///
/// # Errors
/// 4.06 for a format that is none of a pack.
pub(crate) fn format(accept: Option<u16>) -> Result<ContentFormat, Refusal> {
    let Some(number) = accept else {
        return Ok(ContentFormat::SenmlCbor);
    };
    let formats = [
        ContentFormat::SenmlJson,
        ContentFormat::SenmlCbor,
        ContentFormat::Lwm2mCbor,
    ];
    let format = ContentFormat::from_number(number).filter(|format| formats.contains(format));
    format.ok_or_else(|| Refusal {
        code: Code::NOT_ACCEPTABLE,
        reason: Reason::new("pack-format", "a pack does not come in that format")
            .hint("accept 110, 112 or 11544"),
    })
}

/// Everything that a plan writes, besides the instances of the bootstrap server's own account.
///
/// # Errors
/// The format cannot carry it.
pub(crate) fn render(
    plan: &BootstrapPlan,
    own_account: Vec<Path>,
    format: ContentFormat,
    models: &dyn ObjectModels,
) -> Result<Vec<u8>, EncodeError> {
    let mut device = Device::new(Version::V1_2);
    device.spare(own_account, plan);
    let records: Vec<_> = plan.records().cloned().collect();
    let records = device.adapted(&super::BootstrapRecords::from(records), models);
    device.encode(format, Path::ROOT, &records, models)
}
