use lwm2m_core::typed::Readable;
use lwm2m_objects::device;

fn read<T: Readable>() {}

fn main() {
    read::<device::Reboot>();
}
