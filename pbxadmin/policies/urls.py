from django.urls import path

from . import views

app_name = "policies"
urlpatterns = [
    path("policies/", views.policy_list, name="policy-list"),
    path("policies/add/", views.policy_add_view, name="policy-add"),
    path("policies/exceptions/", views.exception_list, name="exception-list"),
    path("policies/exceptions/<int:pk>/withdraw/", views.exception_withdraw_view, name="exception-withdraw"),
    path("policies/violations/<int:pk>/accept/", views.violation_accept_view, name="violation-accept"),
    path("policies/<int:pk>/", views.policy_page, name="policy-page"),
    path("policies/<int:pk>/edit/", views.policy_edit_view, name="policy-edit"),
    path("policies/<int:pk>/delete/", views.policy_delete_view, name="policy-delete"),
    path("policies/<int:pk>/fix/", views.policy_fix, name="policy-fix"),
]
