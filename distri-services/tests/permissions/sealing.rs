//! The cryptography of a grant, as a stranger would use it: the whole way of a key, and who cannot go it.
//! In `forms`: its formats frozen byte for byte, and every decoder against bytes that nobody meant; in
//! `history`: what is told of a grant.

mod forms;
mod history;

use data_encoding::HEXLOWER;
use distri::identity::Identity;
use distri_services::permissions::{
    Ack, Canonical, ContentKey, Draft, Envelope, Grant, GrantCore, GrantId, ImageId, Look,
    Malformed, ManifestHash, OwnerSecrets, Parties, Randomness, Receipt, Redeem, RedeemId, Rekey,
    Release, Released, RequestId, Revoke, SealError, SealingKey, SealingSecret, SetViews, Share,
    Signature, Signed, Split, Step, Suite, open_content, sign,
};
use proptest::prelude::*;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

fn randomness(seed: u8) -> Randomness {
    Randomness::from_seed(Zeroizing::new([seed; 32]))
}

/// A grant with everything that anyone has of it.
struct Whole {
    core: GrantCore,
    secrets: OwnerSecrets,
    split: Split,
    ciphertext: Vec<u8>,
    owner: Identity,
    viewer: Identity,
    viewer_sealing: SealingSecret,
    cloud: SealingSecret,
    node: Identity,
}

const PICTURE: &[u8] = b"a picture of a cat, in so many bytes";
const FILE: &[u8] = b"a stego image in which it is hidden";

impl Whole {
    fn new() -> Self {
        let (owner, viewer) = (Identity::from_seed(&[1; 32]), Identity::from_seed(&[2; 32]));
        let node = Identity::from_seed(&[3; 32]);
        let viewer_sealing = SealingSecret::from_seed(Zeroizing::new([4; 32]));
        let cloud = SealingSecret::from_seed(Zeroizing::new([5; 32]));
        let mut randomness = randomness(6);
        let parties = Parties {
            image: ImageId::from_array([7; 16]),
            request: RequestId::from_array([8; 16]),
            owner: owner.public(),
            viewer: viewer.public(),
            viewer_sealing: viewer_sealing.public(),
            not_before_ms: 1_700_000_000_000,
        };
        let draft = Draft::new(parties, &mut randomness).unwrap();
        let sealed = draft.seal(PICTURE).unwrap();
        let ciphertext = sealed.ciphertext.clone();
        let (core, secrets) = sealed.granted(FILE, ManifestHash::from_array([9; 32]));
        let split = secrets
            .split(&core, 0, (1, cloud.public()), &mut randomness)
            .unwrap();
        Self {
            core,
            secrets,
            split,
            ciphertext,
            owner,
            viewer,
            viewer_sealing,
            cloud,
            node,
        }
    }

    fn look(&self, seed: u8) -> Look {
        let core = self.core.hash();
        Look::begin(
            self.core.grant,
            core,
            0,
            &self.viewer,
            &mut randomness(seed),
        )
    }

    /// What a node answers to a redemption of view `view`.
    fn release(&self, redeem: &Redeem, view: u32) -> Released {
        let receipt = Receipt {
            grant: redeem.grant,
            core: redeem.core,
            epoch: redeem.epoch,
            redeem: redeem.redeem,
            epk: redeem.epk,
            view,
            of: 3,
            index: u64::from(view),
        };
        let half = self
            .split
            .share
            .open(&self.core.hash(), redeem.epoch, &self.cloud)
            .unwrap();
        let release = receipt.release(&half, &mut randomness(11)).unwrap();
        let Signed { body, signature } = sign(receipt, &self.node);
        Released {
            receipt: body,
            node: self.node.public(),
            cloud_epoch: 0,
            signature,
            release,
        }
    }
}

fn redeem_of(look: &Look) -> Signed<Redeem> {
    match look.step() {
        Step::Redeem(redeem) => redeem.clone(),
        other => panic!("{other:?} instead of a redemption"),
    }
}

#[test]
fn a_viewer_with_both_halves_sees_the_picture() {
    let whole = Whole::new();
    let mut look = whole.look(10);
    look.saved();
    let redeem = redeem_of(&look);
    redeem.verify(whole.core.viewer).unwrap();

    let released = whole.release(&redeem.body, 1);
    look.released(&released, |key| key == whole.node.public())
        .unwrap();
    let Step::Show(cloud_half, shown) = look.step() else {
        panic!("{look:?}");
    };
    let opened = whole
        .split
        .envelope
        .open(&whole.core.hash(), &whole.viewer_sealing)
        .unwrap();
    let key = opened.content_key(&whole.core, 0, cloud_half).unwrap();
    whole.core.check_file(FILE).unwrap();
    let picture = open_content(&whole.core, &key, &whole.ciphertext).unwrap();

    assert_eq!((shown.view, shown.of), (1, 3));
    assert_eq!(picture.as_slice(), PICTURE);
    assert_eq!(
        opened.hiding_key.place(&whole.core.grant),
        whole.secrets.hiding_key.place(&whole.core.grant)
    );
}

#[test]
fn either_half_alone_opens_nothing() {
    let whole = Whole::new();
    let opened = whole
        .split
        .envelope
        .open(&whole.core.hash(), &whole.viewer_sealing)
        .unwrap();
    // All that the cloud has: its key and the share. All that the viewer has: the envelope.
    let other = whole
        .secrets
        .split(
            &whole.core,
            1,
            (1, whole.cloud.public()),
            &mut randomness(20),
        )
        .unwrap();
    let wrong_half = other
        .share
        .open(&whole.core.hash(), 1, &whole.cloud)
        .unwrap();

    assert_eq!(
        opened.content_key(&whole.core, 0, &wrong_half).unwrap_err(),
        SealError::DoesNotOpen {
            what: "wrapped content key"
        }
    );
    let cloud_half = whole
        .split
        .share
        .open(&whole.core.hash(), 0, &whole.cloud)
        .unwrap();
    let as_key = ContentKey::from_bytes(cloud_half.reveal().clone());
    assert_eq!(
        open_content(&whole.core, &as_key, &whole.ciphertext).unwrap_err(),
        SealError::KeyCommitment
    );
    assert!(
        whole
            .split
            .envelope
            .open(&whole.core.hash(), &whole.cloud)
            .is_err(),
        "the cloud's key opens the viewer's envelope"
    );
}

#[test]
fn new_halves_serve_the_same_stego_image() {
    let whole = Whole::new();
    let again = whole
        .secrets
        .split(
            &whole.core,
            1,
            (2, whole.cloud.public()),
            &mut randomness(21),
        )
        .unwrap();
    let gh = whole.core.hash();

    let half = again.share.open(&gh, 1, &whole.cloud).unwrap();
    let opened = again.envelope.open(&gh, &whole.viewer_sealing).unwrap();
    let key = opened.content_key(&whole.core, 1, &half).unwrap();

    assert_eq!(
        open_content(&whole.core, &key, &whole.ciphertext)
            .unwrap()
            .as_slice(),
        PICTURE
    );
    // Neither half of one epoch fits the other.
    assert!(again.share.open(&gh, 0, &whole.cloud).is_err());
    assert!(opened.content_key(&whole.core, 0, &half).is_err());
}

#[test]
fn a_key_that_was_not_committed_to_opens_nothing() {
    let whole = Whole::new();
    let mut two_faced = whole.core.clone();
    two_faced.key_commitment = distri_services::permissions::KeyCommitment::from_array([0; 32]);

    let error = open_content(&two_faced, &whole.secrets.content_key, &whole.ciphertext);

    assert_eq!(error.unwrap_err(), SealError::KeyCommitment);
}

#[test]
fn a_changed_file_is_noticed() {
    let whole = Whole::new();
    let mut changed = FILE.to_vec();
    changed[3] ^= 1;

    assert_eq!(
        whole.core.check_file(&changed),
        Err(SealError::File { part: "hash" })
    );
    assert_eq!(
        whole.core.check_file(&FILE[1..]),
        Err(SealError::File { part: "length" })
    );
}

/// The u coordinates of the points of low order on Curve25519 and its twist, and their second
/// spellings.
fn low_order() -> Vec<SealingKey> {
    [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    ]
    .into_iter()
    .map(|text| {
        let bytes = HEXLOWER.decode(text.as_bytes()).unwrap();
        SealingKey::from_array(bytes.try_into().unwrap())
    })
    .collect()
}

#[test]
fn nothing_is_sealed_to_a_key_of_low_order() {
    let whole = Whole::new();

    for key in low_order() {
        assert_eq!(
            key.check("view's"),
            Err(SealError::LowOrder { whose: "view's" })
        );
        let receipt = whole.release(&look_redeem(&whole), 1).receipt;
        let receipt = Receipt {
            epk: key,
            ..receipt
        };
        let half = whole
            .split
            .share
            .open(&whole.core.hash(), 0, &whole.cloud)
            .unwrap();
        assert!(receipt.release(&half, &mut randomness(1)).is_err());
        assert!(
            whole
                .secrets
                .split(&whole.core, 0, (1, key), &mut randomness(1))
                .is_err()
        );
        let parties = Parties {
            viewer_sealing: key,
            ..whole.core.parties()
        };
        assert!(Draft::new(parties, &mut randomness(1)).is_err());
    }
}

fn look_redeem(whole: &Whole) -> Redeem {
    let mut look = whole.look(10);
    look.saved();
    redeem_of(&look).body
}

#[test]
fn weak_signing_keys_are_refused_before_anything_is_made() {
    let whole = Whole::new();
    let mut neutral = [0; 32];
    neutral[0] = 1;
    let weak = distri::id::PublicKey::from_bytes(neutral);

    for parties in [
        Parties {
            owner: weak,
            ..whole.core.parties()
        },
        Parties {
            viewer: weak,
            ..whole.core.parties()
        },
    ] {
        let error = Draft::new(parties, &mut randomness(1)).unwrap_err();
        assert!(matches!(error, SealError::WeakKey { .. }), "{error}");
    }
    let signed = sign(look_redeem(&whole), &whole.viewer);
    let error = signed.verify(weak).unwrap_err();
    assert!(matches!(error, SealError::WeakKey { .. }), "{error}");
}

#[test]
fn a_signature_with_a_nonce_of_small_order_is_refused() {
    let whole = Whole::new();
    let mut signed = sign(look_redeem(&whole), &whole.viewer);
    let mut bytes = *signed.signature.as_array();
    bytes[..32].fill(0);
    bytes[0] = 1;
    signed.signature = Signature::from_array(bytes);

    assert!(signed.verify(whole.viewer.public()).is_err());
}

#[test]
fn a_signature_is_for_one_operation_one_grant_and_one_signer() {
    let whole = Whole::new();
    let (grant, core) = (whole.core.grant, whole.core.hash());
    let revoke = sign(
        Revoke {
            grant,
            core,
            seq: 2,
        },
        &whole.owner,
    );

    assert!(revoke.verify(whole.owner.public()).is_ok());
    assert!(revoke.verify(whole.viewer.public()).is_err());
    let mut later = revoke.clone();
    later.body.seq = 3;
    assert!(later.verify(whole.owner.public()).is_err());
    let mut other = revoke.clone();
    other.body.core = distri_services::permissions::GrantHash::from_array([0; 32]);
    assert!(other.verify(whole.owner.public()).is_err());
    let ack = Signed {
        body: Ack {
            grant,
            core,
            redeem: RedeemId::from_array([0; 16]),
        },
        signature: revoke.signature,
    };
    assert!(ack.verify(whole.owner.public()).is_err());
}

#[test]
fn a_viewer_believes_only_the_answer_to_its_own_question_by_a_node_of_the_cloud() {
    let whole = Whole::new();
    let secret = SealingSecret::from_seed(Zeroizing::new([12; 32]));
    let redeem = Redeem {
        epk: secret.public(),
        ..look_redeem(&whole)
    };
    let good = whole.release(&redeem, 2);
    let node = whole.node.public();
    let open = |released: &Released| released.open(&redeem, &secret, |key| key == node);
    assert!(open(&good).is_ok());

    let mut forged = good.clone();
    forged.receipt.view = 1;
    assert!(matches!(open(&forged), Err(SealError::Signature { .. })));
    for change in [
        |receipt: &mut Receipt| receipt.grant = GrantId::from_array([0; 16]),
        |receipt: &mut Receipt| receipt.epoch += 1,
        |receipt: &mut Receipt| receipt.redeem = RedeemId::from_array([0; 16]),
        |receipt: &mut Receipt| receipt.epk = SealingKey::from_array([9; 32]),
    ] {
        let mut other = good.clone();
        change(&mut other.receipt);
        assert!(matches!(open(&other), Err(SealError::Mismatch { .. })));
    }
    let stranger = Released {
        node: whole.viewer.public(),
        ..good.clone()
    };
    assert_eq!(
        open(&stranger).unwrap_err(),
        SealError::Mismatch {
            what: "receipt",
            part: "cloud"
        }
    );
    let mut swapped = good;
    swapped.release = whole.release(&look_redeem(&whole), 2).release;
    assert_eq!(
        open(&swapped).unwrap_err(),
        SealError::DoesNotOpen { what: "release" }
    );
}

#[test]
fn a_crash_between_any_two_steps_goes_on_with_the_same_view() {
    let whole = Whole::new();
    let mut look = whole.look(30);
    let Step::Save(saved) = look.step() else {
        panic!();
    };
    look.saved();
    let redeem = redeem_of(&look);

    let mut resumed = Look::resume(&saved).unwrap();

    assert_eq!(redeem_of(&resumed), redeem);
    let released = whole.release(&redeem.body, 1);
    let node = whole.node.public();
    resumed.released(&released, |key| key == node).unwrap();
    assert!(matches!(resumed.step(), Step::Show(..)));
    resumed.shown();
    let Step::Acknowledge(ack) = resumed.step() else {
        panic!("{resumed:?}");
    };
    ack.verify(whole.viewer.public()).unwrap();
    assert_eq!(ack.body.redeem, redeem.body.redeem);
    resumed.acknowledged();
    assert!(matches!(resumed.step(), Step::Forget));
    resumed.forgotten();
    assert!(matches!(resumed.step(), Step::Done));
}

#[test]
fn a_look_never_skips_a_step() {
    let whole = Whole::new();
    let mut look = whole.look(30);

    // Nothing but saving counts before it is saved.
    look.refused();
    look.shown();
    look.acknowledged();
    look.forgotten();

    assert!(matches!(look.step(), Step::Save(_)));
    look.saved();
    look.shown();
    assert!(matches!(look.step(), Step::Redeem(_)));
    look.refused();
    assert!(matches!(look.step(), Step::Forget));
}

#[test]
fn secrets_are_never_printed() {
    let whole = Whole::new();
    let printed = format!(
        "{:?} {:?} {:?} {:?} {:#?}",
        whole.secrets,
        whole.viewer_sealing,
        whole.secrets.content_key,
        whole.look(1),
        randomness(1),
    );

    for secret in [
        whole.secrets.content_key.reveal().as_slice(),
        whole.viewer_sealing.seed().as_slice(),
    ] {
        for text in [
            HEXLOWER.encode(secret),
            format!("{secret:?}"),
            format!("{}, {}, {}", secret[0], secret[1], secret[2]),
        ] {
            assert!(!printed.contains(&text), "{printed}");
        }
    }
}
