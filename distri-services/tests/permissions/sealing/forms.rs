//! What is written down, byte for byte.

use super::*;

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
