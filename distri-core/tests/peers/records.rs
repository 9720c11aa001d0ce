//! Rows 1 and 2 of the promises: only a peer writes its record, no roll-back, and lies are noticed.

use std::time::Duration;

use distri::{
    Client, Code,
    id::PublicKey,
    identity::Identity,
    peer::{Boot, PeerAddress, PeerEvent, Presence},
    signed::{RecordError, Signed},
    transport::Address,
};

use super::{
    calls::nodes,
    directory_support::Cluster,
    support::{DeskClient, answers, identity, prepared, started, within},
};

fn presence(name: &str) -> Presence {
    Presence {
        name: name.into(),
        addresses: vec![PeerAddress::new("memory", Address::new("memory:666"))],
        boot: Boot::new(),
    }
}

fn signed(by: &Identity, seq: u64, presence: Presence) -> Signed<Presence> {
    Signed::sign(by, seq, presence).unwrap()
}

async fn announce(client: &Client, record: &serde_json::Value) -> distri::Result<()> {
    let arguments = serde_json::json!({ "record": record, "lease_ms": 6000 });
    let call = client.call_json("distri-peers", "announce", arguments);
    call.await.map(drop)
}

async fn stored(client: &Client, key: PublicKey) -> Option<serde_json::Value> {
    let peers = client.directory().collection::<serde_json::Value>("peers");
    let found = peers.get(key.to_string()).await.unwrap();
    found.map(|document| document.value)
}

#[tokio::test(start_paused = true)]
async fn row_01_only_a_peer_writes_its_record_and_none_is_rolled_back() {
    let cluster = Cluster::of(3, 21).await;
    let alice = started(prepared(&cluster.network, &identity(1), nodes(&cluster), 1)).await;
    let client = alice.client();
    let record = alice.announced().unwrap();
    let before = stored(client, alice.key()).await.unwrap();
    let mallory = cluster.new_client().await;
    let json = |record: &Signed<Presence>| serde_json::to_value(record).unwrap();

    // Over its own link a peer cannot roll back, nor say two things under one number.
    for (seq, name) in [(record.seq() - 1, "older"), (record.seq(), "other")] {
        let error = announce(client, &json(&signed(&identity(1), seq, presence(name))))
            .await
            .unwrap_err();
        assert!(
            matches!(error.details(), Some(RecordError::Older { .. })),
            "{error}"
        );
    }
    // A good record from somebody else's link; a record that somebody else signed.
    let newer = signed(&identity(1), record.seq() + 1, presence("newer"));
    let error = announce(&mallory, &json(&newer)).await.unwrap_err();
    assert!(
        matches!(error.details(), Some(RecordError::WrongKey { .. })),
        "{error}"
    );
    let mut forged = json(&newer);
    forged["body"]["name"] = "forged".into();
    let error = announce(client, &forged).await.unwrap_err();
    assert!(
        matches!(error.details(), Some(RecordError::Forged { .. })),
        "{error}"
    );
    // Under a weak key anybody could sign.
    let mut weak = json(&newer);
    let mut neutral = [0; 32];
    neutral[0] = 1;
    weak["key"] = serde_json::json!(PublicKey::from_bytes(neutral));
    let error = announce(&mallory, &weak).await.unwrap_err();
    assert_eq!(error.code(), Code::Denied);
    // Past the service, nobody but nodes writes.
    let peers = mallory.directory().collection("peers");
    let error = peers.put(alice.key().to_string(), &json(&newer)).await;
    assert_eq!(error.unwrap_err().code(), Code::Denied);

    assert_eq!(stored(client, alice.key()).await, Some(before));
}

#[tokio::test(start_paused = true)]
async fn no_record_is_rolled_back_after_its_lease_has_ended() {
    let cluster = Cluster::of(1, 22).await;
    let alice = started(prepared(&cluster.network, &identity(1), nodes(&cluster), 1)).await;
    let record = alice.announced().unwrap();
    alice.shutdown().await;
    let client = Client::builder()
        .transport(std::sync::Arc::new(cluster.network.transport(identity(1))))
        .nodes(nodes(&cluster))
        .connect()
        .await
        .unwrap();
    assert_eq!(stored(&client, alice.key()).await, None);

    let old = serde_json::to_value(&record).unwrap();
    let error = announce(&client, &old).await.unwrap_err();

    let details: Option<RecordError> = error.details();
    assert!(matches!(details, Some(RecordError::Older { held, .. }) if held == record.seq()));
}

#[tokio::test(start_paused = true)]
async fn row_02_a_node_that_lies_is_noticed_and_the_last_good_record_kept() {
    let cluster = Cluster::of(1, 23).await;
    let alice = started(prepared(&cluster.network, &identity(1), nodes(&cluster), 1)).await;
    let client = cluster.new_client().await;
    let of_alice = client.peer(alice.key());
    answers(&of_alice, 1).await;
    let good = of_alice.record().unwrap();
    let mut events = of_alice.events();
    // What nodes write is not checked: this one lies.
    let liar = cluster.node(0).client().directory();
    let peers = liar.collection::<serde_json::Value>("peers");
    let id = alice.key().to_string();

    let mut forged = serde_json::to_value(&good).unwrap();
    forged["seq"] = (good.seq() + 1).into();
    forged["body"]["addresses"][0]["address"] = "memory:666".into();
    let lies = [
        forged,
        serde_json::to_value(signed(&identity(1), good.seq() - 1, presence("stale"))).unwrap(),
        serde_json::to_value(signed(&identity(2), good.seq() + 1, presence("mallory"))).unwrap(),
    ];
    let mut told = Vec::new();
    for lie in &lies {
        peers.put(id.as_str(), lie).await.unwrap();
        loop {
            if let PeerEvent::Refused(why) = within(events.next()).await.unwrap() {
                told.push(why);
                break;
            }
        }
    }

    assert!(matches!(told[0], RecordError::Forged { .. }), "{told:?}");
    assert!(matches!(told[1], RecordError::Older { .. }), "{told:?}");
    assert!(matches!(told[2], RecordError::WrongKey { .. }), "{told:?}");
    assert_eq!(of_alice.record(), Some(good));
    assert_eq!(DeskClient::new(&of_alice).number().await.unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_peer_whose_clock_was_set_back_is_heard_all_the_same() {
    let cluster = Cluster::of(1, 24).await;
    let identity = identity(1);
    let client = Client::builder()
        .transport(std::sync::Arc::new(
            cluster.network.transport(identity.clone()),
        ))
        .nodes(nodes(&cluster))
        .connect()
        .await
        .unwrap();
    // An earlier life, a hundred years ahead.
    let ahead = 5_000_000_000_000;
    let record = signed(&identity, ahead, presence("earlier"));
    announce(&client, &serde_json::to_value(record).unwrap())
        .await
        .unwrap();

    let alice = started(prepared(&cluster.network, &identity, nodes(&cluster), 1)).await;

    assert_eq!(alice.announced().unwrap().seq(), ahead + 1);
    tokio::time::sleep(Duration::from_secs(20)).await;
    answers(&cluster.new_client().await.peer(alice.key()), 1).await;
}
