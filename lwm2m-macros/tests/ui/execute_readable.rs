use lwm2m_core::typed::Executable;
use lwm2m_objects::device;

fn execute<T: Executable>() {}

fn main() {
    execute::<device::BatteryLevel>();
}
