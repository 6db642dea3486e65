use lwm2m_core::typed::Writable;
use lwm2m_objects::device;

fn write<T: Writable>(_value: T::Value) {}

fn main() {
    write::<device::Timezone>(5);
}
