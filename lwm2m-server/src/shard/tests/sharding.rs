//! Devices that come to one shard and then to another.

use std::time::Duration;

use lwm2m_coap::Code;

use super::world::{World, peer, request};
use crate::{RegistrationId, RequestError};

const LIST: &[u8] = b"</1/0>,</3/0>";

#[test]
fn n2_registering_anew_from_another_port_replaces() {
    for shards in [1, 2] {
        let mut world = World::new(shards, |_| {});
        let old = world.register(0, 1, "ep=a&lwm2m=1.1");
        let mut pending = world.read("a", 0);
        let new = world.register(shards - 1, 2, "ep=a&lwm2m=1.1");
        assert_ne!(old, new);
        assert_eq!(world.happened(), ["registered", "replaced"], "one event");
        assert_eq!(
            pending.try_recv().expect("answered"),
            Err(RequestError::RegistrationEnded)
        );
        assert_eq!(world.shared.directory.len(), 1);
        world.sent.clear();
        assert_eq!(world.ask(0, 1, Code::POST, &old).code, Code::NOT_FOUND);
        assert_eq!(
            world.ask(shards - 1, 2, Code::POST, &new).code,
            Code::CHANGED
        );
    }
}

#[test]
fn n4_whichever_register_claims_last_is_the_one_that_stays() {
    let mut world = World::new(4, |_| {});
    // The shards do not hear of each other until all four have taken the device.
    world.relaying = false;
    let locations: Vec<String> = (0..4)
        .map(|shard| world.register(shard, 10 + shard as u16, "ep=a&lt=60"))
        .collect();
    world.relaying = true;
    world.settle();
    let owner = world.location("a");
    assert_eq!(owner.shard, 3);
    assert_eq!(world.shared.directory.len(), 1);
    for (shard, location) in locations.iter().enumerate() {
        let code = world
            .ask(shard, 10 + shard as u16, Code::POST, location)
            .code;
        assert_eq!(code == Code::CHANGED, shard == 3);
    }
    // Nothing is left behind that could expire a second time.
    world.happened();
    world.pass(Duration::from_secs(200));
    assert_eq!(world.happened(), ["expired"]);
}

#[test]
fn a_device_that_leaves_while_it_is_being_replaced_takes_nothing_along() {
    let mut world = World::new(2, |_| {});
    let old = world.register(0, 1, "ep=a&lt=60");
    world.relaying = false;
    world.register(1, 2, "ep=a&lt=60");
    // Shard 0 has not heard of it, and takes the farewell of the older registration.
    assert_eq!(world.ask(0, 1, Code::DELETE, &old).code, Code::DELETED);
    world.relaying = true;
    world.settle();
    assert_eq!(world.location("a").shard, 1);
    assert_eq!(world.happened(), ["registered", "replaced"]);
}

#[test]
fn an_update_on_another_shard_reaches_the_owner_and_moves_the_device() {
    let mut world = World::new(4, |_| {});
    let location = world.register(0, 1, "ep=a&lt=60&lwm2m=1.1");
    assert_eq!(world.ask(2, 9, Code::POST, &location).code, Code::CHANGED);
    let registration = world.registration("a").expect("registered");
    assert_eq!(registration.peer.port(), 9);
    assert_eq!(world.location("a").shard, 0);

    // What follows from the new address finds its way: the answer to a request of ours, a Send.
    let mut answer = world.read("a", 0);
    let request = world.expect(9);
    world.answer(2, 9, &request, "x");
    assert!(answer.try_recv().expect("answered").is_ok());
    let send = world.ask_with(2, 9, Code::POST, "dp", br#"[{"n":"/3/0/9","v":5}]"#);
    assert_eq!(send.code, Code::CHANGED);
    assert_eq!(world.ask(2, 9, Code::DELETE, &location).code, Code::DELETED);
    assert_eq!(world.find("a"), None);
    assert!(world.shards[2].counters().0.relayed >= 4);
}

#[test]
fn a_made_up_shard_number_sends_nobody_astray() {
    let mut world = World::new(2, |_| {});
    world.register(1, 9, "ep=a&lt=60&lwm2m=1.1");
    let forged = RegistrationId(12345).to_string();
    let answer = world.ask(1, 9, Code::POST, &format!("rd/{forged}"));
    assert_eq!(answer.code, Code::NOT_FOUND);
    assert_eq!(world.shards[1].counters().0.relayed, 1);
    let mut answer = world.read("a", 0);
    let request = world.expect(9);
    world.answer(1, 9, &request, "x");
    assert!(answer.try_recv().expect("answered").is_ok());
    assert_eq!(world.shards[1].counters().0.relayed, 1);
}

#[test]
fn many_devices_wander_among_the_shards() {
    let mut world = World::new(4, |_| {});
    let mut locations: Vec<String> = (0..40u16)
        .map(|device| world.register(usize::from(device) % 4, device, &format!("ep=d{device}")))
        .collect();
    for round in 1..8u16 {
        for device in 0..40u16 {
            let port = round * 100 + device;
            let shard = usize::from(round * 7 + device) % 4;
            let location = &mut locations[usize::from(device)];
            if (round + device) % 3 == 0 {
                *location = world.register(shard, port, &format!("ep=d{device}"));
            } else {
                assert_eq!(
                    world.ask(shard, port, Code::POST, location).code,
                    Code::CHANGED
                );
            }
            let name = format!("d{device}");
            assert_eq!(
                world.registration(&name).expect("registered").peer.port(),
                port
            );
        }
    }
    assert_eq!(world.shared.directory.len(), 40);
    for (device, location) in locations.iter().enumerate() {
        assert_eq!(
            world
                .ask(0, 5000 + device as u16, Code::DELETE, location)
                .code,
            Code::DELETED
        );
    }
    assert_eq!(world.shared.directory.len(), 0);
}

#[test]
fn one_registration_more_than_the_limit_is_told_to_wait() {
    let mut world = World::new(2, |config| config.limits.registrations_max = 2);
    world.register(0, 1, "ep=a");
    world.register(1, 2, "ep=b");
    let refused = world.ask_with(0, 3, Code::POST, "rd?ep=c", LIST);
    assert_eq!(
        (refused.code, refused.max_age),
        (Code::SERVICE_UNAVAILABLE, Some(60))
    );
    assert_eq!(world.shared.directory.len(), 2);
    // Who is in may come again.
    world.register(0, 2, "ep=b");
    assert_eq!(
        world.happened(),
        ["registered", "registered", "overloaded", "replaced"]
    );
}

#[test]
fn words_to_a_shard_that_does_not_listen_are_bounded_and_not_lost() {
    let mut world = World::new(2, |config| config.limits.mailbox_max = 2);
    for device in 0..3 {
        world.register(0, device, &format!("ep=d{device}"));
    }
    world.relaying = false;
    world.register(1, 10, "ep=d0");
    world.register(1, 11, "ep=d1");
    let refused = world.ask_with(1, 12, Code::POST, "rd?ep=d2", LIST);
    assert_eq!(refused.code, Code::SERVICE_UNAVAILABLE);
    // Datagrams that would have to be passed on are lost, and counted.
    let location = format!("rd/{}", world.registration("d2").expect("still there").id);
    let update = request(900, Code::POST, &location, b"");
    world.shards[1].datagram(world.now, peer(12), &mut update.clone());
    assert_eq!(world.shards[1].counters().0.relays_dropped, 1);
    world.relaying = true;
    world.settle();
    for device in 0..2 {
        assert_eq!(world.location(&format!("d{device}")).shard, 1);
    }
    world.register(1, 12, "ep=d2");
    assert_eq!(world.shared.directory.len(), 3);
}
