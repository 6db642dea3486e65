//! Requests that name resources by type.

mod instance;
mod observation;

use lwm2m_core::typed::{Executable, Readable, TypedError, Writable};

use crate::{Device, RequestError};

pub use instance::Instance;
pub use observation::{Observation, ObservationError};

/// Why a typed request did not succeed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TypedRequestError {
    /// The request failed.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The values do not fit the type: what the device answered, or what was to be written.
    #[error(transparent)]
    Value(#[from] TypedError),
}

/// Requests about instance 0; [`Device::instance`] names another one.
///
/// ```
/// use lwm2m_objects::{device, temperature};
/// # use lwm2m_server::{Server, TypedRequestError};
///
/// # async fn example(server: Server) -> Result<(), TypedRequestError> {
/// let meter = server.device("urn:dev:ops:1");
/// let battery: i64 = meter.read::<device::BatteryLevel>().await?;
/// let indoors: f64 = meter.instance(1).read::<temperature::SensorValue>().await?;
/// let everything: device::Device = meter.read::<device::Device>().await?;
/// meter.write::<device::Timezone>("Europe/Berlin".to_owned()).await?;
/// meter.execute::<device::Reboot>().await?;
/// # Ok(())
/// # }
/// ```
///
/// What the object definition does not allow does not compile: a write to a read-only resource,
///
/// ```compile_fail,E0277
/// # async fn example(meter: lwm2m_server::Device) {
/// meter.write::<lwm2m_objects::device::BatteryLevel>(5).await;
/// # }
/// ```
///
/// an execute of a readable one, or a value of another type:
///
/// ```compile_fail,E0277
/// # async fn example(meter: lwm2m_server::Device) {
/// meter.execute::<lwm2m_objects::device::BatteryLevel>().await;
/// # }
/// ```
///
/// ```compile_fail,E0308
/// # async fn example(meter: lwm2m_server::Device) {
/// meter.write::<lwm2m_objects::device::Timezone>(5).await;
/// # }
/// ```
///
/// What is only written is not read, and what is only executed not observed:
///
/// ```
/// # async fn example(meter: lwm2m_server::Device) -> Result<(), lwm2m_server::TypedRequestError> {
/// meter.write::<lwm2m_objects::firmware_update::Package>(vec![0, 1]).await
/// # }
/// ```
///
/// ```compile_fail,E0277
/// # async fn example(meter: lwm2m_server::Device) {
/// meter.read::<lwm2m_objects::firmware_update::Package>().await;
/// # }
/// ```
///
/// ```compile_fail,E0277
/// # async fn example(meter: lwm2m_server::Device) {
/// meter.observe::<lwm2m_objects::device::Reboot>().await;
/// # }
/// ```
impl Device {
    /// An instance of any object, for typed requests.
    pub fn instance(&self, id: u16) -> Instance {
        Instance::new(self.clone(), id)
    }

    /// Reads a resource, or a whole object instance.
    ///
    /// # Errors
    /// The request failed, or the answer has no value of this type.
    pub async fn read<T: Readable>(&self) -> Result<T::Value, TypedRequestError> {
        self.instance(0).read::<T>().await
    }

    /// Writes a resource, or the writable resources of an object instance. What is there and not
    /// named is removed or reset.
    ///
    /// # Errors
    /// The value is out of range, or the request failed.
    pub async fn write<T: Writable>(&self, value: T::Value) -> Result<(), TypedRequestError> {
        self.instance(0).write::<T>(value).await
    }

    /// Executes a resource without arguments.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub async fn execute<T: Executable>(&self) -> Result<(), RequestError> {
        self.instance(0).execute::<T>().await
    }

    /// Observes a resource, or a whole object instance.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub async fn observe<T: Readable>(&self) -> Result<Observation<T>, RequestError> {
        self.instance(0).observe::<T>().await
    }
}
