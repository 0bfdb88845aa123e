from collections.abc import Callable

from django import forms
from django.core.exceptions import ValidationError

from .models import Customer


class CustomerForm(forms.Form):
    name = forms.CharField(max_length=100, label="Name", widget=forms.TextInput({"class": "name"}))

    def saved(self, use_case: Callable[..., Customer]) -> Customer | None:
        """Run a use case with the name that was typed; None when something stands against it, which the form shows."""
        if not self.is_valid():
            return None
        try:
            return use_case(name=self.cleaned_data["name"])
        except ValidationError as error:
            self.add_error("name", error.messages)
            return None
