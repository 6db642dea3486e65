//! Devices choose their names and what they say: none of it takes over the terminal.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use crate::demo::Demo;

/// Clears the screen, in two ways.
const ATTACK: &str = "x\u{1b}[2J\u{9b}2J\u{202e}";

/// Registers under this name, and refuses every request with the same text.
fn device(server: &str) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    socket.connect(server).expect("an address");
    // POST /rd in link format, and the queries with their lengths.
    let mut register = vec![0x40, 0x02, 0, 1, 0xb2, b'r', b'd', 0x11, 40];
    let name = format!("ep={ATTACK}");
    register.extend([0x3d, (name.len() - 13) as u8]);
    register.extend(name.as_bytes());
    register.extend(b"\x09lwm2m=1.1\xff</3/0>");
    socket.send(&register).expect("sent");
    std::thread::spawn(move || {
        let mut buffer = [0; 1500];
        while let Ok(length) = socket.recv(&mut buffer) {
            let message = &buffer[..length];
            // A confirmable request with its token; the answer to the Register is none.
            if message[0] & 0x30 == 0 {
                let token = usize::from(message[0] & 0x0f);
                let mut answer = vec![0x60 | token as u8, 0x84];
                answer.extend(&message[2..4 + token]);
                answer.push(0xff);
                answer.extend(ATTACK.as_bytes());
                socket.send(&answer).expect("sent");
            }
        }
    });
}

#[test]
fn no_device_takes_over_the_terminal() {
    let demo = Demo::start();
    device(demo.coap.trim_start_matches("coap://"));
    let deadline = Instant::now() + Duration::from_secs(60);
    let registered = || {
        let output = demo.cli(&["clients", "--json"]);
        String::from_utf8_lossy(&output.stdout).contains("u001b")
    };
    while !registered() {
        assert!(Instant::now() < deadline, "the device did not register");
        std::thread::yield_now();
    }
    for arguments in [
        &["clients"][..],
        &["clients", "--json"],
        &["client", ATTACK],
        &["client", ATTACK, "--json"],
        &["read", ATTACK, "/3/0/0"],
        &["read", ATTACK, "/3/0/0", "--json"],
    ] {
        let output = demo.cli(arguments);
        for text in [output.stdout, output.stderr] {
            let text = String::from_utf8(text).expect("text");
            let harm = |character: char| {
                (character.is_control() && character != '\n') || character == '\u{202e}'
            };
            assert!(!text.contains(harm), "{arguments:?}: {text:?}");
        }
    }
}
