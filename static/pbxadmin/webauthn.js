"use strict";
// Security keys. A form marked data-webauthn asks the browser for one and sends the answer as its credential.
(() => {
  const canDo = window.PublicKeyCredential && PublicKeyCredential.parseCreationOptionsFromJSON;

  const answer = async (form) => {
    const { publicKey } = JSON.parse(form.dataset.options);
    const credential = form.dataset.webauthn === "create"
      ? await navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(publicKey) })
      : await navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(publicKey) });
    return JSON.stringify(credential.toJSON());
  };

  document.querySelectorAll("form[data-webauthn]").forEach((form) => {
    const problem = form.querySelector("[data-webauthn-problem]");
    const button = form.querySelector("button");
    form.hidden = false;
    if (!canDo) {
      button.disabled = true;
      problem.hidden = false;
      problem.querySelector("span").textContent = "This browser cannot use security keys.";
      return;
    }
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      problem.hidden = true;
      try {
        form.elements.credential.value = await answer(form);
      } catch {
        problem.hidden = false;
        return;
      }
      form.submit();
    });
  });
})();
