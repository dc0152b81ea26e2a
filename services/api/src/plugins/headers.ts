import helmet from "@fastify/helmet";
import type { FastifyInstance } from "fastify";

const SOURCES = {
  "default-src": ["'self'"],
  "script-src": ["'self'"],
  // the dashboard's components set styles of their own
  "style-src": ["'self'", "'unsafe-inline'"],
  "img-src": ["'self'", "data:"],
  "font-src": ["'self'", "data:"],
  "connect-src": ["'self'"],
  "frame-ancestors": ["'none'"],
  "upgrade-insecure-requests": null,
};

/** Headers that keep browsers from running or framing what isn't ours. */
export async function installHeaders(app: FastifyInstance, tls: boolean): Promise<void> {
  app.addHook("onRoute", (route) => {
    // the reference of the API starts from a script in its page
    if (route.url.startsWith("/docs"))
      route.helmet = { contentSecurityPolicy: { useDefaults: false, directives: { ...SOURCES, "script-src": ["'self'", "'unsafe-inline'"] } } };
  });
  await app.register(helmet, { contentSecurityPolicy: { useDefaults: false, directives: SOURCES }, strictTransportSecurity: tls });
}
