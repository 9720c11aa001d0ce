//! Services of which one node at a time serves the calls (`placement = leader`).
//!
//! Every node that hosts such a service campaigns for the election `service/NAME`, while the service
//! is healthy. Whoever holds it serves, under its fence; the others say who that is. A node that stops
//! lets the calls under way end before it hands over.
#![expect(
    clippy::disallowed_methods,
    reason = "a driver: it owns the campaigns of services"
)]

use std::{
    sync::{Arc, PoisonError, RwLock, Weak},
    time::Duration,
};

use tokio::task::AbortHandle;

use super::{
    NodeHandle,
    gate::{Admitted, Gate},
    host::Host,
};
use crate::{
    election::{Election, Leadership, OF_SERVICES},
    error::Result,
    service::{Elsewhere, MethodDescriptor, Placement, ServiceDescriptor},
    watch, world,
};

/// How often a node looks whether a service that it leads, or would, is healthy.
const LOOK: Duration = Duration::from_millis(500);

/// How often a node that hands over looks whether the calls have ended.
const LOOK_AT_CALLS: Duration = Duration::from_millis(5);

/// True if some method of the service is served by its leader.
fn is_led(service: &ServiceDescriptor) -> bool {
    let led = |method: &MethodDescriptor| method.placement == Placement::Leader;
    service.methods.iter().any(led)
}

/// The first service of the host that is led.
pub(super) fn first(host: &Host) -> String {
    let mut services = host.descriptors();
    let led = services.find(|service| is_led(service));
    led.map(|service| service.name.clone()).unwrap_or_default()
}

/// The services of this node that are led.
pub(super) struct Leading {
    gates: Vec<Arc<LeaderGate>>,
}

/// Lets calls in while this node leads the service.
pub(super) struct LeaderGate {
    service: String,
    election: Election,
    held: RwLock<Option<Arc<Leadership>>>,
    /// Held by each call that is served.
    calls: Arc<()>,
    closing: watch::Sender<bool>,
}

impl Leading {
    /// Puts gates before the services of `host` that are led.
    ///
    /// # Errors
    /// The node keeps no directory.
    pub(super) fn new(node: &NodeHandle, host: &Host) -> Result<Self> {
        let mut gates = Vec::new();
        for service in host.descriptors().filter(|service| is_led(service)) {
            let election = Election::of(node, format!("{OF_SERVICES}{}", service.name))?;
            let gate = Arc::new(LeaderGate {
                service: service.name.clone(),
                election,
                held: RwLock::default(),
                calls: Arc::new(()),
                closing: watch::Sender::new(false),
            });
            let guard: Arc<dyn Gate> = gate.clone();
            let is_led = |placement: &Placement| *placement == Placement::Leader;
            host.guard(&service.name, is_led, &guard);
            gates.push(gate);
        }
        Ok(Self { gates })
    }

    /// Campaigns from now on. `told` is called when this node begins or ceases to lead.
    pub(super) fn start(
        &self,
        host: &Weak<Host>,
        told: impl Fn() + Clone + Send + Sync + 'static,
    ) -> Vec<AbortHandle> {
        let gates = self.gates.iter().cloned();
        gates
            .map(|gate| {
                let (host, told) = (host.clone(), told.clone());
                world::spawn(gate.lead(host, told)).abort_handle()
            })
            .collect()
    }

    /// Lets no more calls in, waits until those under way have ended, at most for `wait`, and gives up
    /// what this node leads.
    pub(super) async fn hand_over(&self, wait: Duration) {
        for gate in &self.gates {
            gate.closing.send_replace(true);
        }
        let ended = async {
            while self.gates.iter().any(|gate| gate.in_flight() > 0) {
                world::pause(LOOK_AT_CALLS).await;
            }
        };
        if tokio::time::timeout(wait, ended).await.is_err() {
            let in_flight: usize = self.gates.iter().map(|gate| gate.in_flight()).sum();
            tracing::warn!(in_flight, waited = ?wait, "calls of led services did not finish in time");
        }
        for gate in &self.gates {
            gate.set(None);
        }
    }
}

impl LeaderGate {
    fn held(&self) -> Option<Arc<Leadership>> {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        held.clone().filter(|held| held.is_held())
    }

    fn set(&self, leadership: Option<Arc<Leadership>>) {
        *self.held.write().unwrap_or_else(PoisonError::into_inner) = leadership;
    }

    fn in_flight(&self) -> usize {
        Arc::strong_count(&self.calls) - 1
    }

    /// Campaigns and leads until the node stops.
    async fn lead(self: Arc<Self>, host: Weak<Host>, told: impl Fn()) {
        let closing = self.closing.subscribe();
        while !*closing.borrow() {
            if !self.health(&host, true).await {
                return;
            }
            // Withdrawn when the service falls ill meanwhile.
            let won = tokio::select! {
                biased;
                won = self.election.campaign() => won,
                goes_on = self.health(&host, false) => match goes_on {
                    true => continue,
                    false => return,
                },
            };
            let Ok(leadership) = won else { return };
            let leadership = Arc::new(leadership);
            let (service, fence) = (&self.service, leadership.fence().number());
            tracing::info!(service, fence, "this node leads the service");
            self.set(Some(leadership.clone()));
            told();
            let mut closed = closing.clone();
            tokio::select! {
                biased;
                () = leadership.lost() => tracing::warn!(service, fence, "this node leads the service no more"),
                _ = self.health(&host, false) => tracing::warn!(service, fence, "the service is not well: another node may lead it"),
                // `hand_over` does the rest.
                _ = closed.wait_for(|closing| *closing) => return,
            }
            self.set(None);
            told();
        }
    }

    /// Waits until the service is well, or is not. False if the node is gone.
    async fn health(&self, host: &Weak<Host>, wanted: bool) -> bool {
        loop {
            let Some(host) = host.upgrade() else {
                return false;
            };
            let is_well = !host.not_serving().contains(&self.service);
            drop(host);
            if is_well == wanted {
                return true;
            }
            world::pause(LOOK).await;
        }
    }
}

impl Gate for LeaderGate {
    fn admit(&self) -> Result<Admitted> {
        let held = self.held().filter(|_| !*self.closing.borrow());
        if let Some(held) = held {
            // What a simulation watches is that calls begin under rising fences: what a former
            // leader has begun goes on, and is refused where it would take effect.
            #[cfg(feature = "testing")]
            drop(world::process::act(|| world::process::Part::Holder {
                election: held.election().to_owned(),
                fence: held.fence().number(),
            }));
            return Ok(Admitted {
                fence: held.fence().clone(),
                pass: self.calls.clone(),
            });
        }
        let holder = self.election.holder().map(|holder| holder.key);
        let refusal = Elsewhere::Led {
            service: self.service.clone(),
            by: holder.filter(|holder| !self.election.is_own(holder)),
        };
        Err(refusal.into())
    }

    fn leads(&self) -> Option<u64> {
        let held = self.held().filter(|_| !*self.closing.borrow());
        held.map(|held| held.fence().number())
    }
}
