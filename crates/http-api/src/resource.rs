//! Routes that know of themselves: which methods a resource takes, and what each asks of its caller.

use actix_web::{
    FromRequest, Handler, Responder, Route, Scope,
    body::{BodySize, BoxBody, MessageBody},
    dev::{AppService, HttpServiceFactory, ServiceRequest, ServiceResponse},
    http::Method,
    middleware::{Next, from_fn},
    web,
};
use agis_apikeys::Permission;

use crate::{auth::Asks, idempotency, network, problem::Problem};

/// The resources of the API.
#[derive(Default)]
pub(crate) struct Table(Vec<Resource>);

/// A path and the methods that it takes. Every other method is answered with a problem that names them.
pub(crate) struct Resource {
    path: &'static str,
    inner: actix_web::Resource,
    methods: Vec<(Method, &'static [Permission])>,
}

/// One method of one resource.
pub(crate) struct Served {
    pub(crate) path: &'static str,
    pub(crate) method: Method,
    /// One of these permissions is needed; none where any valid key will do.
    pub(crate) any_of: &'static [Permission],
}

/// A resource without methods yet.
pub(crate) fn resource(path: &'static str) -> Resource {
    Resource { path, inner: web::resource(path), methods: vec![] }
}

impl Table {
    pub(crate) fn service(mut self, resource: Resource) -> Self {
        self.0.push(resource);
        self
    }

    /// Puts the resources into a scope.
    pub(crate) fn into_scope(self, scope: Scope) -> Scope {
        self.0.into_iter().fold(scope, |scope, resource| scope.service(resource))
    }

    /// What is served, for the documentation. A resource that is read takes HEAD too, which needs no words.
    pub(crate) fn served(&self) -> impl Iterator<Item = Served> + '_ {
        self.0.iter().flat_map(|resource| {
            let path = resource.path;
            resource.methods.iter().map(move |(method, any_of)| Served { path, method: method.clone(), any_of })
        })
    }
}

macro_rules! methods {
    ($($method:ident: $name:ident)+) => {
        $(pub(crate) fn $method<F, Args>(self, handler: F) -> Self
        where
            F: Handler<Args>,
            Args: FromRequest + Asks + 'static,
            F::Output: Responder + 'static,
        {
            self.with(Method::$name, Args::ANY_OF, web::$method().to(handler))
        })+
    };
}

impl Resource {
    methods! { patch: PATCH delete: DELETE }

    /// What is sent again under one `Idempotency-Key` is done once.
    pub(crate) fn post<F, Args>(self, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + Asks + 'static,
        F::Output: Responder + 'static,
    {
        self.with(Method::POST, Args::ANY_OF, web::post().to(handler).wrap(from_fn(idempotency::once)))
    }

    /// Reading; a HEAD is answered like a GET, without the body.
    pub(crate) fn get<F, Args>(self, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + Asks + 'static,
        F::Output: Responder + 'static,
    {
        let Self { path, inner, methods } = self.with(Method::GET, Args::ANY_OF, web::get().to(handler.clone()));
        Self { path, inner: inner.route(web::head().to(handler).wrap(from_fn(without_body))), methods }
    }

    fn with(mut self, method: Method, any_of: &'static [Permission], route: Route) -> Self {
        self.methods.push((method, any_of));
        Self { inner: self.inner.route(route), ..self }
    }

    fn allow(&self) -> String {
        let has = |wanted: &Method| self.methods.iter().any(|(method, _)| method == wanted);
        let head = has(&Method::GET).then_some("HEAD");
        let methods = self.methods.iter().map(|(method, _)| method.as_str());
        methods.chain(head).collect::<Vec<_>>().join(", ")
    }
}

impl HttpServiceFactory for Resource {
    fn register(self, config: &mut AppService) {
        let allow = self.allow();
        let other = move || {
            let problem = Problem::method_not_allowed(&allow);
            async { problem }
        };
        self.inner.default_service(web::to(other)).wrap(from_fn(network::deadline)).register(config);
    }
}

/// Also of an answer that has no end.
async fn without_body(
    request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let response = next.call(request).await?;
    Ok(response.map_body(|_, body| BoxBody::new(Unsent(body.size()))))
}

/// A body of which only the size is told.
struct Unsent(BodySize);

impl MessageBody for Unsent {
    type Error = std::convert::Infallible;

    fn size(&self) -> BodySize {
        self.0
    }

    fn poll_next(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<web::Bytes, Self::Error>>> {
        std::task::Poll::Ready(None)
    }
}
