// scimmy-routers with the least that it asks of an application: users and groups in maps, filters by its own matcher.
// Arguments: the port, and the bearer token.

import { randomUUID } from "node:crypto";
import express from "express";
import SCIMMY from "scimmy";
import SCIMMYRouters from "scimmy-routers";

const [port, token] = process.argv.slice(2);

function handlers(unique) {
    const kept = new Map();
    const names = new Map();
    return {
        egress(resource) {
            if (resource.id) {
                const found = kept.get(resource.id);
                if (!found) throw new SCIMMY.Types.Error(404, null, `Resource ${resource.id} not found`);
                return found;
            }
            const all = [...kept.values()];
            return resource.filter ? resource.filter.match(all) : all;
        },
        ingress(resource, instance) {
            const id = resource.id ?? randomUUID();
            const old = kept.get(id);
            if (resource.id && !old) throw new SCIMMY.Types.Error(404, null, `Resource ${id} not found`);
            const data = JSON.parse(JSON.stringify(instance));
            const name = unique && data[unique]?.toLowerCase();
            if (name) {
                if ((names.get(name) ?? id) !== id) throw new SCIMMY.Types.Error(409, "uniqueness", "taken");
                names.set(name, id);
            }
            const now = new Date().toISOString();
            const meta = { created: old?.meta.created ?? now, lastModified: now };
            kept.set(id, { ...data, id, meta });
            return kept.get(id);
        },
        degress(resource) {
            kept.delete(resource.id);
        },
    };
}

SCIMMY.Resources.declare(SCIMMY.Resources.User, handlers("userName"));
SCIMMY.Resources.declare(SCIMMY.Resources.Group, handlers());

const app = express();
const routers = new SCIMMYRouters({
    type: "bearer",
    handler: (request) => {
        if (request.header("Authorization") !== `Bearer ${token}`) throw new Error("expected the token");
        return "bench";
    },
});
app.use("/scim", routers);
const server = app.listen(Number(port), "127.0.0.1");
// Where a request takes long, Node.js would take others that wait for idle connections, and close them.
server.keepAliveTimeout = 600_000;
