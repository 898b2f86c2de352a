//! The lane's place: in front of the HTTP server. All that is known of the server here is that it serves connections.

use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Context, Poll};

use actix_server::GracefulShutdownSignal;
use actix_service::{Service, ServiceFactory};
use futures_util::future::LocalBoxFuture;
use tokio::io::{AsyncRead, AsyncWrite};

use super::{Lane, Left};
use crate::http::pipeline::wire::Wire;

/// A connection and the address of its other end.
type Opened<S> = (Wire<S>, Option<SocketAddr>);

/// Makes the service of each worker. Without a lane every connection goes to the server at once.
#[derive(Debug)]
pub struct LaneFactory<H> {
    pub lane: Option<Rc<Lane>>,
    pub stopping: GracefulShutdownSignal,
    pub http: H,
}

impl<S, H> ServiceFactory<Opened<S>> for LaneFactory<H>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
    H: ServiceFactory<Opened<S>, Response = (), Config = ()>,
    H::Future: 'static,
    H::Service: 'static,
    H::InitError: 'static,
{
    type Response = ();
    type Error = H::Error;
    type Config = ();
    type Service = LaneService<H::Service>;
    type InitError = H::InitError;
    type Future = LocalBoxFuture<'static, Result<Self::Service, H::InitError>>;

    fn new_service(&self, (): ()) -> Self::Future {
        let (lane, stopping, http) = (self.lane.clone(), self.stopping.clone(), self.http.new_service(()));
        Box::pin(async move { Ok(LaneService { lane, stopping, http: Rc::new(http.await?) }) })
    }
}

/// Serves connections: in the lane, then by the server.
#[derive(Debug)]
pub struct LaneService<H> {
    lane: Option<Rc<Lane>>,
    stopping: GracefulShutdownSignal,
    http: Rc<H>,
}

impl<S, H> Service<Opened<S>> for LaneService<H>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
    H: Service<Opened<S>, Response = ()> + 'static,
    H::Future: 'static,
{
    type Response = ();
    type Error = H::Error;
    type Future = LocalBoxFuture<'static, Result<(), H::Error>>;

    fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), H::Error>> {
        self.http.poll_ready(cx)
    }

    fn call(&self, (mut wire, peer): Opened<S>) -> Self::Future {
        let Some(lane) = self.lane.clone() else { return Box::pin(self.http.call((wire, peer))) };
        let (stopping, http) = (self.stopping.clone(), Rc::clone(&self.http));
        Box::pin(async move {
            match lane.ride(&mut wire, stopping.notified()).await {
                Left::HandedOver => http.call((wire, peer)).await,
                Left::Ended => Ok(()),
            }
        })
    }
}
