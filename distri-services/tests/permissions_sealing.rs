//! The cryptography of a grant, as a stranger would use it: the whole way of a key, its formats frozen
//! byte for byte, and every decoder against bytes that nobody meant.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

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

/// Hashes of everything that is written down, under fixed secrets. When one of these changes, what was
/// granted before cannot be opened any more: make a new version instead.
#[test]
fn the_formats_are_what_they_were() {
    let whole = Whole::new();
    let gh = whole.core.hash();
    let mut look = whole.look(10);
    let Step::Save(pending) = look.step() else {
        panic!();
    };
    let pending = pending.to_vec();
    look.saved();
    let redeem = redeem_of(&look);
    let released = whole.release(&redeem.body, 1);
    let (grant, owner, share) = (whole.core.grant, &whole.owner, whole.split.share.clone());
    let signed = [
        sign(
            Grant {
                core: whole.core.clone(),
                seq: 1,
                epoch: 0,
                views: 3,
                expires_ms: 1_800_000_000_000,
                share: share.hash(),
            },
            owner,
        )
        .signature,
        sign(
            SetViews {
                grant,
                core: gh,
                seq: 2,
                views: 4,
                expires_ms: 1_800_000_000_001,
            },
            owner,
        )
        .signature,
        sign(
            Rekey {
                grant,
                core: gh,
                seq: 3,
                epoch: 1,
                views: 5,
                expires_ms: 1_800_000_000_002,
                share: share.hash(),
            },
            owner,
        )
        .signature,
        sign(
            Revoke {
                grant,
                core: gh,
                seq: 4,
            },
            owner,
        )
        .signature,
        redeem.signature,
        released.signature,
    ]
    .map(|signature| *signature.as_array())
    .concat();

    let forms = [
        ("core", whole.core.to_bytes()),
        ("gh", gh.as_array().to_vec()),
        ("content", whole.ciphertext.clone()),
        ("place", whole.secrets.hiding_key.place(&grant).to_vec()),
        ("secrets", whole.secrets.to_bytes()),
        ("envelope", whole.split.envelope.to_bytes()),
        ("share", share.to_bytes()),
        ("pending", pending),
        ("redeem", redeem.body.to_bytes()),
        ("receipt", released.receipt.to_bytes()),
        ("release", released.release.to_bytes()),
        ("signatures", signed),
    ];
    let are = forms.map(|(what, bytes)| {
        format!(
            "{what} {} {}",
            bytes.len(),
            HEXLOWER.encode(&Sha256::digest(&bytes)[..16])
        )
    });

    assert_eq!(are.join("\n"), FROZEN.trim(), "a format has changed");
}

/// Name, length, and the beginning of the SHA-256.
const FROZEN: &str = "
core 258 ef7b19594d3ae7ac15c19cb8b80268ed
gh 32 5f14bdd0c27f93ce9700dd76a524097b
content 272 aceab7d1cde42b3e51ce0ec8d6890142
place 32 bc4c86dce2b7d1eb5783aa20d64b2cd6
secrets 65 eaec85b24d819622ff339affb89d093d
envelope 165 1301c1da3917bb9e01dd2370e2612f50
share 85 966ca7a9dd99aa306713dc0c280aa059
pending 261 f36725395cbb7f874fc7ce4d06dd2a41
redeem 100 bd48aed238ba7187ecbb9346b509f823
receipt 116 5411e66e61ec5a34d8d724f9f5485923
release 80 2dd8cf698c1923c6c5202a79b07e796e
signatures 384 12ca6d1c18d6229376128bb7d4634863
";

/// RFC 9180, A.1.1: the crate that seals is the algorithm of the standard. (The appendix has no vector
/// for AES-256-GCM, which differs in the length of the key.)
#[test]
fn sealing_is_that_of_rfc_9180() {
    use hpke::{
        Kem as _, OpModeR, OpModeS, Serializable, aead::AesGcm128, kdf::HkdfSha256,
        kem::X25519HkdfSha256 as Kem, rand_core,
    };

    /// Gives the bytes of the vector instead of random ones.
    struct Fixed(Vec<u8>);

    impl rand_core::TryRng for Fixed {
        type Error = std::convert::Infallible;

        fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
            unreachable!("only bytes are drawn")
        }

        fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
            unreachable!("only bytes are drawn")
        }

        fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
            bytes.copy_from_slice(&self.0);
            Ok(())
        }
    }
    impl rand_core::TryCryptoRng for Fixed {}

    let hex = |text: &str| HEXLOWER.decode(text.as_bytes()).unwrap();
    let (secret, public) = Kem::derive_keypair(&hex(
        "6db9df30aa07dd42ee5e8181afdb977e538f5e1fec8a06223f33f7013e525037",
    ));
    let info = hex("4f6465206f6e2061204772656369616e2055726e");
    let aad = hex("436f756e742d30");
    let text = hex("4265617574792069732074727574682c20747275746820626561757479");

    let (encapsulated, sealed) = hpke::single_shot_seal_with_rng::<AesGcm128, HkdfSha256, Kem>(
        &OpModeS::Base,
        &public,
        &info,
        &text,
        &aad,
        &mut Fixed(hex(
            "7268600d403fce431561aef583ee1613527cff655c1343f29812e66706df3234",
        )),
    )
    .unwrap();

    assert_eq!(
        HEXLOWER.encode(&public.to_bytes()),
        "3948cfe0ad1ddb695d780e59077195da6c56506b027329794ab02bca80815c4d"
    );
    assert_eq!(
        HEXLOWER.encode(&encapsulated.to_bytes()),
        "37fda3567bdbd628e88668c3c8d7e97d1d1253b6d4ea6d44c150f741f1bf4431"
    );
    assert_eq!(
        HEXLOWER.encode(&sealed),
        "f938558b5d72f1a23810b4be2ab4f84331acc02fc97babc53a52ae8218a355a9\
         6d8770ac83d07bea87e13c512a"
    );
    let opened = hpke::single_shot_open::<AesGcm128, HkdfSha256, Kem>(
        &OpModeR::Base,
        &secret,
        &encapsulated,
        &info,
        &sealed,
        &aad,
    );
    assert_eq!(opened.unwrap(), text);
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

#[test]
fn what_a_newer_version_wrote_is_told_from_damage() {
    let whole = Whole::new();
    let mut bytes = whole.core.to_bytes();
    bytes[0] = 2;
    let newer = GrantCore::from_bytes(&bytes).unwrap_err();
    bytes[0] = 1;
    bytes[1] = 9;
    let suite = GrantCore::from_bytes(&bytes).unwrap_err();

    assert_eq!(
        newer.to_string(),
        "the core of a grant is of version 2, this program knows only version 1"
    );
    assert!(matches!(
        suite,
        Malformed::Newer {
            part: "suite",
            found: 9,
            ..
        }
    ));
}

/// Reads `bytes` as everything that has a form; whatever is read is written the same again.
fn read_as_anything(bytes: &[u8]) {
    fn read<T: Canonical>(bytes: &[u8]) {
        match T::from_bytes(bytes) {
            Ok(value) => assert_eq!(value.to_bytes(), bytes, "{}", T::NAME),
            Err(error) => assert!(error.to_string().contains(T::NAME), "{error}"),
        }
    }
    read::<GrantCore>(bytes);
    read::<Envelope>(bytes);
    read::<Share>(bytes);
    read::<Release>(bytes);
    read::<Receipt>(bytes);
    read::<OwnerSecrets>(bytes);
    read::<Grant>(bytes);
    read::<SetViews>(bytes);
    read::<Revoke>(bytes);
    read::<Rekey>(bytes);
    read::<Redeem>(bytes);
    read::<Ack>(bytes);
    if let Ok(look) = Look::resume(bytes) {
        assert!(matches!(look.step(), Step::Redeem(_)));
    }
}

/// The forms of everything, of a whole grant.
fn forms() -> Vec<Vec<u8>> {
    let whole = Whole::new();
    let look = whole.look(10);
    let Step::Save(pending) = look.step() else {
        panic!();
    };
    let redeem = look_redeem(&whole);
    let released = whole.release(&redeem, 1);
    vec![
        whole.core.to_bytes(),
        whole.split.envelope.to_bytes(),
        whole.split.share.to_bytes(),
        whole.secrets.to_bytes(),
        redeem.to_bytes(),
        released.receipt.to_bytes(),
        released.release.to_bytes(),
        pending.to_vec(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_bytes_are_a_form_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..700)) {
        read_as_anything(&bytes);
    }

    #[test]
    fn any_change_of_a_form_is_a_form_or_an_error(
        which in 0..8_usize,
        at in any::<prop::sample::Index>(),
        to in any::<u8>(),
        cut in any::<prop::sample::Index>(),
        more in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let form = &forms()[which];
        let mut changed = form.clone();
        let at = at.index(changed.len());
        changed[at] = to;
        read_as_anything(&changed);
        read_as_anything(&form[..cut.index(form.len())]);
        read_as_anything(&[form.as_slice(), &more].concat());
    }

    #[test]
    fn any_bytes_in_place_of_what_is_sealed_open_nothing(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        at in any::<prop::sample::Index>(),
        bit in 0..8_u8,
    ) {
        let whole = Whole::new();
        let gh = whole.core.hash();
        let flipped = |sealed: &[u8]| {
            let mut sealed = sealed.to_vec();
            let at = at.index(sealed.len());
            sealed[at] ^= 1 << bit;
            sealed
        };
        let Split { envelope, share } = whole.split.clone();
        for sealed in [bytes.clone(), flipped(&envelope.sealed)] {
            let envelope = Envelope { sealed, ..envelope.clone() };
            prop_assert!(envelope.open(&gh, &whole.viewer_sealing).is_err());
        }
        for sealed in [bytes.clone(), flipped(&share.sealed)] {
            let share = Share { sealed, ..share.clone() };
            prop_assert!(share.open(&gh, 0, &whole.cloud).is_err());
        }
        for ciphertext in [bytes, flipped(&whole.ciphertext)] {
            let opened = open_content(&whole.core, &whole.secrets.content_key, &ciphertext);
            prop_assert!(opened.is_err());
        }
    }

    #[test]
    fn any_key_to_seal_to_is_used_or_refused(key: [u8; 32]) {
        let key = SealingKey::from_array(key);
        let _ = key.check("view's");
    }

    #[test]
    fn messages_survive_every_codec(seq: u64, views: u32, expires_ms: u64) {
        let whole = Whole::new();
        let grant = sign(
            Grant {
                core: whole.core.clone(),
                seq,
                epoch: 0,
                views,
                expires_ms,
                share: whole.split.share.hash(),
            },
            &whole.owner,
        );
        let compact = postcard::to_stdvec(&grant).unwrap();
        let json = serde_json::to_string(&grant).unwrap();
        prop_assert_eq!(&postcard::from_bytes::<Signed<Grant>>(&compact).unwrap(), &grant);
        prop_assert_eq!(&serde_json::from_str::<Signed<Grant>>(&json).unwrap(), &grant);
        prop_assert_eq!(Grant::from_bytes(&grant.body.to_bytes()).unwrap(), grant.body);
    }

    #[test]
    fn any_bytes_in_a_compact_message_are_one_or_an_error(
        bytes in prop::collection::vec(any::<u8>(), 0..600),
    ) {
        let _ = postcard::from_bytes::<Signed<Grant>>(&bytes);
        let _ = postcard::from_bytes::<Signed<Redeem>>(&bytes);
        let _ = postcard::from_bytes::<Released>(&bytes);
    }
}

#[test]
fn the_suite_is_carried() {
    assert_eq!(Whole::new().core.suite, Suite::One);
    assert_eq!(Whole::new().core.to_bytes()[..2], [1, 1]);
}
