//! A grant from both ends: what an owner and a viewer have and do.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "not every test uses all of it, and in a test a panic is the report"
)]

use std::time::Duration;

use distri::{Client, Error, Result, id::PublicKey, identity::Identity};
use distri_services::permissions::{
    Ack, Ask, CloudKeys, Dated, Draft, Envelope, Grant, GrantCore, GrantId, GrantStatus, ImageId,
    LedgerError, Look, ManifestHash, OwnerSecrets, Parties, PermissionsClient, Randomness, Redeem,
    Rekey, Released, RequestId, Revoke, SealingSecret, SetViews, Share, Signed, Step, open_content,
    sign, verify_audit,
};
use zeroize::Zeroizing;

pub(crate) const PICTURE: &[u8] =
    b"what only the owner and the viewer may ever see, four score bytes of it";
pub(crate) const FILE: &[u8] = b"the cover, with the picture hidden in it";

/// Longer than any test lasts.
pub(crate) const NEVER: u64 = 1 << 52;

pub(crate) fn randomness(seed: u64) -> Randomness {
    let mut bytes = Zeroizing::new([0; 32]);
    bytes[..8].copy_from_slice(&seed.to_be_bytes());
    Randomness::from_seed(bytes)
}

fn identity(of: u8, seed: u64) -> Identity {
    let mut bytes = [of; 32];
    bytes[..8].copy_from_slice(&seed.to_be_bytes());
    Identity::from_seed(&bytes)
}

/// A grant, as its owner and its viewer together know it.
pub(crate) struct Granted {
    pub(crate) core: GrantCore,
    pub(crate) secrets: OwnerSecrets,
    pub(crate) envelope: Envelope,
    pub(crate) share: Share,
    pub(crate) ciphertext: Vec<u8>,
    pub(crate) owner: Identity,
    pub(crate) viewer: Identity,
    pub(crate) viewer_sealing: SealingSecret,
    pub(crate) cloud: CloudKeys,
    seed: u64,
}

impl Granted {
    /// A grant that no ledger knows of yet.
    pub(crate) fn draft(cloud: &CloudKeys, seed: u64, not_before_ms: u64) -> Self {
        let (owner, viewer) = (identity(1, seed), identity(2, seed));
        let mut random = randomness(seed);
        let viewer_sealing = SealingSecret::random(&mut random);
        let parties = Parties {
            image: ImageId::from_array([3; 16]),
            request: RequestId::from_array([4; 16]),
            owner: owner.public(),
            viewer: viewer.public(),
            viewer_sealing: viewer_sealing.public(),
            not_before_ms,
        };
        let sealed = Draft::new(parties, &mut random)
            .unwrap()
            .seal(PICTURE)
            .unwrap();
        let ciphertext = sealed.ciphertext.clone();
        let (core, secrets) = sealed.granted(FILE, ManifestHash::from_array([5; 32]));
        let split = secrets
            .split(&core, 0, (cloud.epoch, cloud.sealing), &mut random)
            .unwrap();
        Self {
            core,
            secrets,
            envelope: split.envelope,
            share: split.share,
            ciphertext,
            owner,
            viewer,
            viewer_sealing,
            cloud: cloud.clone(),
            seed,
        }
    }

    /// A grant that the ledger knows.
    pub(crate) async fn make(ledger: &PermissionsClient, seed: u64, views: u32) -> Result<Self> {
        let cloud = ledger.cloud().await?;
        let granted = Self::draft(&cloud, seed, 0);
        let op = granted.op(views, NEVER);
        ledger.grant(op, granted.share.clone()).await?;
        Ok(granted)
    }

    pub(crate) fn id(&self) -> GrantId {
        self.core.grant
    }

    pub(crate) fn op(&self, views: u32, expires_ms: u64) -> Signed<Grant> {
        let op = Grant {
            core: self.core.clone(),
            seq: 1,
            epoch: 0,
            views,
            expires_ms,
            share: self.share.hash(),
        };
        sign(op, &self.owner)
    }

    pub(crate) fn set_views(&self, seq: u64, views: u32, expires_ms: u64) -> Signed<SetViews> {
        let (grant, core) = (self.core.grant, self.core.hash());
        let op = SetViews {
            grant,
            core,
            seq,
            views,
            expires_ms,
        };
        sign(op, &self.owner)
    }

    pub(crate) fn revoke(&self, seq: u64) -> Signed<Revoke> {
        let (grant, core) = (self.core.grant, self.core.hash());
        sign(Revoke { grant, core, seq }, &self.owner)
    }

    /// New halves, which the viewer has at once.
    pub(crate) fn rekey(&mut self, seq: u64, views: u32) -> (Signed<Rekey>, Share) {
        let epoch = self.envelope.epoch + 1;
        let cloud = (self.cloud.epoch, self.cloud.sealing);
        let mut random = randomness(self.seed ^ (u64::from(epoch) << 32));
        let split = self
            .secrets
            .split(&self.core, epoch, cloud, &mut random)
            .unwrap();
        self.envelope = split.envelope;
        self.share = split.share;
        let op = Rekey {
            grant: self.core.grant,
            core: self.core.hash(),
            seq,
            epoch,
            views,
            expires_ms: NEVER,
            share: self.share.hash(),
        };
        (sign(op, &self.owner), self.share.clone())
    }

    /// A look about to begin.
    pub(crate) fn look(&self, seed: u64) -> Look {
        let (grant, core) = (self.core.grant, self.core.hash());
        let epoch = self.envelope.epoch;
        Look::begin(grant, core, epoch, &self.viewer, &mut randomness(seed))
    }

    pub(crate) fn ask(&self, client: &Client) -> Signed<Ask> {
        let ask = Ask {
            grant: self.core.grant,
            reader: self.owner.public(),
            link: client.key(),
        };
        sign(ask, &self.owner)
    }

    pub(crate) async fn status(&self, client: &Client) -> Result<GrantStatus> {
        PermissionsClient::new(client.clone())
            .status(self.ask(client))
            .await
    }

    /// The whole audit, which is checked.
    pub(crate) async fn audit(&self, client: &Client) -> Result<Vec<Dated>> {
        let ledger = PermissionsClient::new(client.clone());
        let mut entries: Vec<Dated> = Vec::new();
        loop {
            let after = entries.last().map(|dated| dated.entry.index);
            let page = ledger.audit(self.ask(client), after).await?;
            let done = page.entries.is_empty();
            entries.extend(page.entries);
            if done {
                verify_audit(&self.core, &entries, &page.head).unwrap();
                return Ok(entries);
            }
        }
    }

    /// Shows what the cloud's half of a finished look opens.
    pub(crate) fn show(&self, look: &Look) -> Vec<u8> {
        let Step::Show(half, _) = look.step() else {
            panic!("nothing to show: {look:?}");
        };
        let opened = self
            .envelope
            .open(&self.core.hash(), &self.viewer_sealing)
            .unwrap();
        let key = opened
            .content_key(&self.core, self.envelope.epoch, half)
            .unwrap();
        self.core.check_file(FILE).unwrap();
        open_content(&self.core, &key, &self.ciphertext)
            .unwrap()
            .to_vec()
    }

    pub(crate) fn is_cloud(&self) -> impl FnOnce(PublicKey) -> bool + use<> {
        let receipts = self.cloud.receipts;
        move |key| key == receipts
    }
}

/// What a look that was saved asks the ledger.
pub(crate) fn redeem_of(look: &Look) -> Signed<Redeem> {
    match look.step() {
        Step::Redeem(redeem) => redeem.clone(),
        other => panic!("{other:?} instead of a redemption"),
    }
}

pub(crate) fn ack_of(look: &Look) -> Signed<Ack> {
    match look.step() {
        Step::Acknowledge(ack) => ack.clone(),
        other => panic!("{other:?} instead of an acknowledgement"),
    }
}

pub(crate) fn refusal(error: &Error) -> LedgerError {
    error
        .details()
        .unwrap_or_else(|| panic!("no refusal of the ledger: {}", distri::error::chain(error)))
}

/// Asks, wherever there is an answer, until the ledger grants or refuses.
pub(crate) async fn redeem_at_last(
    ledger: &PermissionsClient,
    redeem: &Signed<Redeem>,
) -> Result<Released, LedgerError> {
    loop {
        let asked = ledger
            .redeem(redeem.clone())
            .timeout(Duration::from_secs(5))
            .await;
        match asked {
            Ok(released) => return Ok(released),
            Err(error) => {
                if let Some(refused) = error.details() {
                    return Err(refused);
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}
