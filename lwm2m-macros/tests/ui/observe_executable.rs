use lwm2m_core::typed::Readable;
use lwm2m_objects::device;

fn observe<T: Readable>() -> Vec<T::Value> {
    Vec::new()
}

fn main() {
    let _values = observe::<device::FactoryReset>();
}
