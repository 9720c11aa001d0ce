//! What others say on the network: forged and old records, crowds and noise.

use std::{
    net::{IpAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use data_encoding::BASE64URL_NOPAD;
use distri::{
    Client,
    identity::Identity,
    peer::{Boot, PeerAddress, Presence},
    signed::Signed,
    transport::Address,
};
use swarm_discovery::DropGuard;

use super::{HERE, discoverer, hears, network, peer};
use crate::support::{answers, within};

/// Says on the network under `name` what stands in `record`, and tells how often that was heard.
fn says(name: &str, record: &[u8]) -> (DropGuard, Arc<AtomicUsize>) {
    let letters = BASE64URL_NOPAD.encode(record);
    let parts = letters.as_bytes().chunks(240).enumerate();
    let parts = parts.map(|(n, part)| {
        let part = String::from_utf8(part.to_vec()).unwrap();
        (format!("r{n}"), Some(part))
    });
    let version = [("v".to_owned(), Some("1".to_owned()))];
    let (heard, own) = (Arc::new(AtomicUsize::new(0)), name.to_owned());
    let count = heard.clone();
    let guard = discoverer(name)
        .with_addrs(1, [IpAddr::V4(HERE)])
        .with_txt_attributes(version.into_iter().chain(parts))
        .unwrap()
        .with_callback(move |name, found| {
            if name == own && !found.is_expiry() {
                count.fetch_add(1, Ordering::Relaxed);
            }
        })
        .spawn(&tokio::runtime::Handle::current())
        .unwrap();
    (guard, heard)
}

fn record(identity: &Identity, seq: u64, at: &str) -> Signed<Presence> {
    let presence = Presence {
        name: "mallory's".into(),
        addresses: vec![PeerAddress::new("tcp", Address::new(at))],
        boot: Boot::new(),
    };
    Signed::sign(identity, seq, presence).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_can_speak_for_another_or_turn_back_time() {
    let Some(_turn) = network().await else { return };
    let identity = Identity::generate();
    let alice = peer(&identity, 1).await;
    let client = within(Client::builder().on_lan([HERE]).connect())
        .await
        .unwrap();
    hears(&client, alice.key()).await;
    let held = |client: &Client| {
        let heard = client.peers_nearby();
        heard.into_iter().find(|peer| peer.key() == alice.key())
    };
    let good = held(&client).unwrap();

    let mut forged = postcard::to_stdvec(&record(&identity, u64::MAX, "127.0.0.1:9")).unwrap();
    let port = forged.windows(2).position(|two| two == b":9").unwrap();
    forged[port + 1] = b'7';
    let old = postcard::to_stdvec(&record(&identity, 1, "127.0.0.1:9")).unwrap();
    let mut claimed = record(&Identity::generate(), u64::MAX, "127.0.0.1:9");
    // Alice's key over another's signature.
    let mut json = serde_json::to_value(&claimed).unwrap();
    json["key"] = alice.key().to_string().into();
    claimed = serde_json::from_value(json).unwrap();
    let claimed = postcard::to_stdvec(&claimed).unwrap();
    let noise = [0xff; 700];
    let lies = [
        says("forged", &forged),
        says("old", &old),
        says("claimed", &claimed),
        says("noise", &noise),
        // Also under the name that alice uses.
        says(&alice.key().to_string(), &old),
    ];
    within(async {
        while lies
            .iter()
            .any(|(_, heard)| heard.load(Ordering::Relaxed) < 2)
        {
            let held = held(&client);
            // She may be lost for a while where the machine is busy; nobody stands in for her.
            assert!(held.is_none_or(|held| held == good));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;

    assert!(held(&client).is_none_or(|held| held == good));
    assert_eq!(
        client
            .peers_nearby()
            .iter()
            .filter(|peer| peer.unchecked().name == "mallory's")
            .count(),
        0
    );
    drop(lies);
    answers(&client.peer(alice.key()), 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_and_noise_are_thrown_away_and_the_peers_found_again() {
    let Some(_turn) = network().await else { return };
    let alice = peer(&Identity::generate(), 1).await;
    let bob = peer(&Identity::generate(), 2).await;
    hears(alice.client(), bob.key()).await;

    // Those who send come from many ports, for the system gives each socket its share.
    let senders: Vec<UdpSocket> = (0..32)
        .map(|_| UdpSocket::bind((HERE, 0)).unwrap())
        .collect();
    let noise: Vec<u8> = (0..60_000_u32).map(|n| (n * 31 % 251) as u8).collect();
    let mut names = 0;
    within(async {
        while !alice.client().peers_nearby().is_empty() {
            for sender in &senders {
                for size in [0, 1, 11, 12, 500, 1472, 9000, 60_000] {
                    let _ = sender.send_to(&noise[..size], (HERE, 5353));
                }
                let _ = sender.send_to(&crowd(names..names + 10), (HERE, 5353));
                names += 10;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    println!("{names} announcements");

    // After a recess all is as before; also a link that stood went on.
    hears(alice.client(), bob.key()).await;
    answers(&alice.client().peer(bob.key()), 2).await;
    answers(&bob.client().peer(alice.key()), 1).await;
}

/// A response of multicast DNS that announces an instance for each number, without a record.
fn crowd(numbers: std::ops::Range<u32>) -> Vec<u8> {
    let count = u16::try_from(numbers.len()).unwrap();
    let mut packet = vec![0, 0, 0x84, 0, 0, 0];
    packet.extend_from_slice(&count.to_be_bytes());
    packet.extend_from_slice(&[0, 0, 0, 1]);
    let name = |labels: &[&str]| {
        let mut bytes: Vec<u8> = Vec::new();
        for label in labels {
            bytes.push(u8::try_from(label.len()).unwrap());
            bytes.extend_from_slice(label.as_bytes());
        }
        bytes.push(0);
        bytes
    };
    let head = |kind: u8| [0, kind, 0, 1, 0, 0, 0, 120];
    let host = name(&["mallory", "local"]);
    for n in numbers {
        let instance = format!("n{n}");
        packet.extend(name(&[&instance, "_distri", "_tcp", "local"]));
        packet.extend(head(33));
        let size = u16::try_from(6 + host.len()).unwrap();
        packet.extend_from_slice(&size.to_be_bytes());
        packet.extend_from_slice(&[0, 0, 0, 0, 0, 1]);
        packet.extend_from_slice(&host);
    }
    packet.extend_from_slice(&host);
    packet.extend(head(1));
    packet.extend_from_slice(&[0, 4, 127, 0, 0, 1]);
    packet
}
