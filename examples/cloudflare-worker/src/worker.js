import document from "../doorward.json";
import { Proofs, worker } from "../../../dist/scim-worker/cloudflare.js";

export default worker(document);
export { Proofs };
