/** Swagger's page of the API, with the token that the page of the scores knows or asks for. */

import { authorization, request } from "./access.js";

await request("openapi.json"); // asks for the token if one is needed
window.SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  layout: "BaseLayout",
  presets: [window.SwaggerUIBundle.presets.apis, window.SwaggerUIBundle.SwaggerUIStandalonePreset].filter(Boolean),
  requestInterceptor: (asked) => ({ ...asked, headers: { ...authorization(), ...asked.headers } }),
});
