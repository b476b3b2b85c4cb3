//! The two sides that listen on TCP, and what becomes of them when the configuration changes.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};

use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::config::ServerConfig;
use crate::server::public::Intake;
use crate::server::{self, Served, listen};

/// Which side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Public,
    Admin,
}

impl Kind {
    const ALL: [Self; 2] = [Self::Public, Self::Admin];

    /// Where the configuration wants it to listen; `None`: nowhere.
    fn address(self, server: &ServerConfig) -> Option<SocketAddr> {
        match self {
            Self::Public => server.public.as_ref().map(|public| public.listen),
            Self::Admin => server.admin.as_ref().map(|admin| admin.listen),
        }
    }

    fn router(self, served: &Served, intake: &Intake) -> Router {
        match self {
            Self::Public => server::public::router(served, intake.clone()),
            Self::Admin => server::admin::router(served),
        }
    }
}

/// An address that is bound for a side and not listened to yet, or still for the other.
pub(super) struct Bound {
    kind: Kind,
    listen: SocketAddr,
    listener: Arc<TcpListener>,
}

/// A side that listens.
struct Side {
    listen: SocketAddr,
    /// Its socket, which closes when nobody serves it any more.
    listener: Weak<TcpListener>,
    routers: watch::Sender<Router>,
    stop: CancellationToken,
}

/// The sides of a process.
pub(super) struct Sides {
    intake: Intake,
    open: HashMap<Kind, Side>,
    tasks: JoinSet<()>,
    stop: CancellationToken,
}

impl Sides {
    /// None open yet; all of them end with `stop`. Webhooks go to `intake`.
    pub(super) fn new(intake: Intake, stop: CancellationToken) -> Self {
        Self { intake, open: HashMap::new(), tasks: JoinSet::new(), stop }
    }

    /// Binds the addresses of `server` that the side does not listen to already. Nothing changes for those it does.
    ///
    /// Shape: where the other side listens and is about to leave, its own socket, so that nobody is turned away meanwhile.
    /// Errors: names the address, and what to do.
    pub(super) async fn bind(&self, server: &ServerConfig) -> io::Result<Vec<Bound>> {
        let mut bound = Vec::new();
        for kind in Kind::ALL {
            let Some(listen) = kind.address(server) else { continue };
            if self.open.get(&kind).is_some_and(|side| side.listen == listen) {
                continue;
            }
            let listener = match self.left_by_another(listen, server) {
                Some(listener) => listener,
                None => Arc::new(self.bind_anew(listen, server).await?),
            };
            bound.push(Bound { kind, listen, listener });
        }
        Ok(bound)
    }

    /// The socket of a side that listens there now and is wanted elsewhere or nowhere by `server`.
    fn left_by_another(&self, listen: SocketAddr, server: &ServerConfig) -> Option<Arc<TcpListener>> {
        let leaves = |(kind, side): &(&Kind, &Side)| side.listen == listen && kind.address(server) != Some(listen);
        self.open.iter().find(leaves)?.1.listener.upgrade()
    }

    /// Binds an address of which none of the sides has the socket.
    async fn bind_anew(&self, listen: SocketAddr, server: &ServerConfig) -> io::Result<TcpListener> {
        let error = match listen::bind(listen).await {
            Ok(listener) => return Ok(listener),
            Err(error) => error,
        };
        let in_the_way = self.open.iter().find_map(|(kind, side)| {
            let own = side.listener.upgrade()?.local_addr().ok()?;
            overlap(own, listen).then(|| (own, kind.address(server) == Some(side.listen)))
        });
        let Some((own, stays)) = in_the_way.filter(|_| error.kind() == io::ErrorKind::AddrInUse) else {
            return Err(error);
        };
        let hint = if stays {
            "choose another port"
        } else {
            "restart the daemon, which gives that up first, or choose another port"
        };
        Err(io::Error::new(
            error.kind(),
            format!("cannot listen on {listen}: this daemon itself listens on {own}; {hint}"),
        ))
    }

    /// Has what is open answer as `served` says from now on, and closes what is not wanted any more or moves elsewhere.
    pub(super) fn update(&mut self, served: &Served) {
        let (wanted, intake) = (&served.config.server, &self.intake);
        self.open.retain(|kind, side| {
            let stays = kind.address(wanted) == Some(side.listen);
            if stays {
                let _former = side.routers.send_replace(kind.router(served, intake));
            } else {
                if !Kind::ALL.iter().any(|kind| kind.address(wanted) == Some(side.listen)) {
                    tracing::info!(address = %side.listen, "no longer listened to");
                }
                side.stop.cancel();
            }
            stays
        });
    }

    /// Listens, and answers as `served` says.
    pub(super) fn open(&mut self, bound: Bound, served: &Served) {
        let Bound { kind, listen, listener } = bound;
        let side = match kind {
            Kind::Public => "the public side listens",
            Kind::Admin => "the admin side listens",
        };
        tracing::info!(address = %listen, "{side}");
        let (routers, answers) = watch::channel(kind.router(served, &self.intake));
        let stop = self.stop.child_token();
        let socket = Arc::downgrade(&listener);
        self.tasks.spawn(listen::serve(listener, answers, stop.clone()));
        self.open.insert(kind, Side { listen, listener: socket, routers, stop });
    }

    /// Waits until open requests are done and webhooks that came in are stored. The process was told to stop.
    pub(super) async fn end(self) {
        let Self { intake, open, mut tasks, .. } = self;
        while tasks.join_next().await.is_some() {}
        drop((intake, open));
    }
}

/// Whether the system gives only one of two addresses to a listener.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let is_any = one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() == other.port() && (is_any || one.ip() == other.ip())
}
