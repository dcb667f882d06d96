// The identity provider's keys.
import keys from "keys.json";

export default {
  fetch() {
    return Response.json(keys);
  },
};
